//! A connection that its only user keeps.
//!
//! To take one from a pool and to give it back are a round trip each, which for one short statement is most of the time.

use std::time::{Duration, Instant};

use sqlx::Connection as _;

use crate::error::StoreError;
use crate::store::{Conn, Store, TRUSTED_FOR};

/// How long a connection may take to say goodbye.
const CLOSING: Duration = Duration::from_secs(1);

/// A connection between uses. One that a failure left in doubt is not put back.
#[derive(Debug, Default)]
pub struct KeptConn(Option<(Conn, Instant)>);

impl KeptConn {
    /// The connection that was put back, or another one of the pool. As in the pool, one that has idled is asked for a sign of life.
    ///
    /// # Errors
    /// `Unavailable` when there is none within `acquire_timeout`.
    pub async fn take(&mut self, store: &Store) -> Result<Conn, StoreError> {
        let Some((mut conn, used)) = self.0.take() else { return store.acquire().await };
        if used.elapsed() <= TRUSTED_FOR {
            return Ok(conn);
        }
        match tokio::time::timeout(store.acquire_timeout(), conn.ping()).await {
            Ok(Ok(())) => Ok(conn),
            // It has gone; the server need not.
            Ok(Err(_)) => {
                discard(conn);
                store.acquire().await
            }
            Err(_elapsed) => {
                discard(conn);
                Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut))
            }
        }
    }

    /// For the next use.
    pub fn put(&mut self, conn: Conn) {
        self.0 = Some((conn, Instant::now()));
    }

    /// Ends it, without waiting for a server that hangs.
    pub async fn close(&mut self) {
        if let Some((conn, _)) = self.0.take() {
            let _ = tokio::time::timeout(CLOSING, conn.close()).await;
        }
    }
}

/// Ends a connection that nobody should use again.
pub fn discard(mut conn: Conn) {
    conn.close_on_drop();
}
