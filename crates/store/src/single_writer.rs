//! At most one process writes.
//!
//! A session advisory lock keeps a second process out, but does not fence: a process that lost its session (the
//! database restarted, the machine slept) does not notice. So each writer also counts an epoch up, and checks in
//! every transaction that its epoch is still the present one.

use std::time::Duration;

use sqlx::{Connection, PgConnection, Row};
use tokio::sync::Mutex;

use crate::{
    error::StoreError,
    integer::{from_bigint, to_bigint},
    store::{Store, Tx},
};

/// For the service's migrations. Never changes: `Migration::new(5, "single writer", single_writer::SCHEMA_SQL)`.
pub const SCHEMA_SQL: &str = include_str!("sql/single_writer.sql");

/// Time for the statements around the lock.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// The right to write. Dropping it frees the lock as soon as the server notices, at once as a rule.
#[derive(Debug)]
pub struct SingleWriter {
    name: String,
    epoch: u64,
    session: Mutex<PgConnection>,
}

impl SingleWriter {
    /// Becomes the writer `name` of the store's schema, waiting up to the store's `acquire_timeout` for another
    /// process to go: one that was killed needs a moment to be noticed.
    ///
    /// # Errors
    /// `WriterBusy` when the other one stays.
    pub async fn acquire(store: &Store, name: &str) -> Result<Self, StoreError> {
        Self::acquire_within(store, name, store.acquire_timeout()).await
    }

    /// The same with another time to wait.
    ///
    /// # Errors
    /// `WriterBusy` when the other one stays.
    pub async fn acquire_within(store: &Store, name: &str, wait: Duration) -> Result<Self, StoreError> {
        // A lock time-out of zero would wait for ever.
        let lock_timeout_ms = wait.as_millis().max(1);
        let statement_timeout_ms = wait.saturating_add(STATEMENT_TIMEOUT).as_millis();
        let options = store.connect_options().options([
            ("lock_timeout", lock_timeout_ms.to_string()),
            ("statement_timeout", statement_timeout_ms.to_string()),
        ]);
        let connect = PgConnection::connect_with(&options);
        let mut session = match tokio::time::timeout(store.acquire_timeout(), connect).await {
            Ok(session) => session?,
            Err(_elapsed) => return Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut)),
        };
        let lock = sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))");
        let lock = lock.bind(format!("ailayer single writer {}/{name}", store.schema()));
        match lock.execute(&mut session).await.map_err(StoreError::from) {
            Err(StoreError::TimedOut(_)) => return Err(StoreError::WriterBusy { name: name.to_owned() }),
            result => result.map(drop)?,
        }
        let count_up = "insert into single_writer (name, epoch) values ($1, 1)
            on conflict (name) do update set epoch = single_writer.epoch + 1 returning epoch";
        let row = sqlx::query(count_up).bind(name).fetch_one(&mut session).await?;
        let epoch = from_bigint(row.try_get(0)?, "epoch of a writer")?;
        tracing::info!(writer = name, epoch, "became the writer");
        Ok(Self { name: name.to_owned(), epoch, session: Mutex::new(session) })
    }

    /// Counts the writers of this name, from 1.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Makes the transaction commit only while this is the writer: a successor waits for its end, and afterwards
    /// this refuses. Call it first in every transaction that writes.
    ///
    /// # Errors
    /// `Fenced` when there is a successor: stop.
    pub async fn check_in_tx(&self, tx: &mut Tx) -> Result<(), StoreError> {
        // Shared, so that our own transactions do not exclude each other.
        let check = sqlx::query("select epoch from single_writer where name = $1 for share");
        let row = check.bind(&self.name).fetch_optional(&mut **tx).await?;
        let row = row.ok_or_else(|| StoreError::Corrupt(format!("writer {} has no epoch", self.name)))?;
        let current: i64 = row.try_get(0)?;
        if current == to_bigint(self.epoch) {
            return Ok(());
        }
        let (name, current) = (self.name.clone(), from_bigint(current, "epoch of a writer")?);
        Err(StoreError::Fenced { name, held: self.epoch, current })
    }

    /// Whether the session with the lock still lives. Without it nobody has to have taken over yet, but anybody
    /// may: a good reason to stop.
    ///
    /// # Errors
    /// `Unavailable` when the session is gone.
    pub async fn check_session(&self) -> Result<(), StoreError> {
        Ok(self.session.lock().await.ping().await?)
    }

    /// Frees the lock and waits for that.
    ///
    /// # Errors
    /// `Unavailable` when the session is gone already, and the lock with it.
    pub async fn release(self) -> Result<(), StoreError> {
        Ok(self.session.into_inner().close().await?)
    }
}
