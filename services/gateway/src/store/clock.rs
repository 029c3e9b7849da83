//! The database's clock between looks at it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_primitives::UnixMs;
use ailayer_store::StoreError;
use sqlx::PgPool;
use tokio::sync::Mutex;

/// How long a look is carried on.
const FRESH: Duration = Duration::from_secs(1);

/// The database's clock, carried on for a moment by this machine's monotonic one, so that not every time that is written down
/// takes a round trip. It may lag by what the last look took. Cloned freely.
///
/// Not for deadlines of money that others hold: those are decided on under a lock, by the clock that was read there.
#[derive(Debug, Clone)]
pub struct Clock {
    pool: PgPool,
    read: Arc<Mutex<Option<(Instant, UnixMs)>>>,
}

impl Clock {
    /// The clock of that database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, read: Arc::default() }
    }

    /// What it says now.
    ///
    /// # Errors
    /// `Unavailable` when it is time for another look and the database is away.
    pub async fn now(&self) -> Result<UnixMs, StoreError> {
        let mut read = self.read.lock().await;
        if let Some((at, time)) = *read
            && at.elapsed() < FRESH
        {
            let since = u64::try_from(at.elapsed().as_millis()).unwrap_or(0);
            return Ok(UnixMs(time.0.saturating_add(since)));
        }
        let time = super::now(&self.pool).await?;
        *read = Some((Instant::now(), time));
        Ok(time)
    }
}
