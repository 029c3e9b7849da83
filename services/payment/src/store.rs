//! The rows. The only place with SQL.

use std::sync::{Arc, PoisonError, RwLock};

use ailayer_store::{
    Migration, SingleWriter, Store, StoreConfig, StoreError, Tx, event_log, migration, single_writer,
};
use sqlx::PgPool;

pub mod channel;
pub mod events;
pub mod hold_invoice;
pub mod identity;
pub mod outgoing_payment;
mod row;

/// The PostgreSQL schema.
pub const SCHEMA: &str = "payment";

/// The schema's history.
pub const MIGRATIONS: &[Migration] = &[
    Migration::new(1, "event log", event_log::SCHEMA_SQL),
    Migration::new(2, "single writer", single_writer::SCHEMA_SQL),
    migration!(3, "payment", "../migrations/0003_payment.sql"),
];

/// The writer's name: one process a schema, as one process a node.
const WRITER: &str = "payment";

/// This service's schema, and the right to write to it.
#[derive(Clone)]
pub struct Rows {
    store: Store,
    writer: Arc<RwLock<Arc<SingleWriter>>>,
}

impl Rows {
    /// Connects, migrates, and becomes the writer; waits a moment for a predecessor to go.
    pub async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        let store = Store::connect(config, SCHEMA, MIGRATIONS).await?;
        let writer = Arc::new(SingleWriter::acquire(&store, WRITER).await?);
        Ok(Self { store, writer: Arc::new(RwLock::new(writer)) })
    }

    /// For statements that only read.
    fn pool(&self) -> &PgPool {
        self.store.pool()
    }

    /// Begins a transaction that commits only while this process is the writer.
    async fn begin(&self) -> Result<Tx, StoreError> {
        let writer = self.writer();
        let mut tx = self.store.begin().await?;
        writer.check_in_tx(&mut tx).await?;
        Ok(tx)
    }

    /// Takes the writer's lock again if its session was cut (the database restarted, say).
    ///
    /// # Errors
    /// `WriterBusy` when another process took it meanwhile: this one must stop. `Unavailable` while the database is.
    pub async fn keep_writer(&self) -> Result<(), StoreError> {
        if self.writer().check_session().await.is_ok() {
            return Ok(());
        }
        let writer = Arc::new(SingleWriter::acquire(&self.store, WRITER).await?);
        *self.writer.write().unwrap_or_else(PoisonError::into_inner) = writer;
        Ok(())
    }

    fn writer(&self) -> Arc<SingleWriter> {
        Arc::clone(&self.writer.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes the pool once all connections are back.
    pub async fn close(&self) {
        self.store.close().await;
    }
}

fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(what.to_string())
}
