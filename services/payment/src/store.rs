//! The rows. The only place with SQL.

use std::sync::{Arc, PoisonError, RwLock};

use ailayer_store::{
    Migration, SingleWriter, Store, StoreConfig, StoreError, Tx, event_log, migration, single_writer,
};
use sqlx::PgPool;
use tokio::sync::Mutex;

pub mod channel;
pub mod events;
pub mod funds;
pub mod hold_invoice;
pub mod identity;
pub mod journal;
pub mod node_tip;
pub mod outgoing_payment;
mod payout;
mod row;

/// The PostgreSQL schema.
pub const SCHEMA: &str = "payment";

/// The schema's history.
pub const MIGRATIONS: &[Migration] = &[
    Migration::new(1, "event log", event_log::SCHEMA_SQL),
    Migration::new(2, "single writer", single_writer::SCHEMA_SQL),
    migration!(3, "payment", "../migrations/0003_payment.sql"),
    migration!(4, "unexpected payment", "../migrations/0004_unexpected_payment.sql"),
    migration!(5, "node tip", "../migrations/0005_node_tip.sql"),
    migration!(6, "payout", "../migrations/0006_payout.sql"),
    migration!(7, "channel funds", "../migrations/0007_channel_funds.sql"),
    migration!(8, "journal sums", "../migrations/0008_journal_sums.sql"),
];

/// The writer's name: one process a schema, as one process a node.
const WRITER: &str = "payment";

/// This service's schema, and the right to write to it.
#[derive(Clone)]
pub struct Rows {
    store: Store,
    writer: Arc<RwLock<Arc<SingleWriter>>>,
    /// Held while the writer's lock is taken again, until the new epoch is known here.
    renewal: Arc<Mutex<()>>,
}

impl Rows {
    /// Connects, migrates, and becomes the writer; waits a moment for a predecessor to go.
    pub async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        let store = Store::connect(config, SCHEMA, MIGRATIONS).await?;
        let writer = Arc::new(SingleWriter::acquire(&store, WRITER).await?);
        Ok(Self { store, writer: Arc::new(RwLock::new(writer)), renewal: Arc::default() })
    }

    /// For statements that only read.
    fn pool(&self) -> &PgPool {
        self.store.pool()
    }

    /// Begins a transaction that commits only while this process is the writer.
    async fn begin(&self) -> Result<Tx, StoreError> {
        loop {
            let writer = self.writer();
            let mut tx = self.store.begin().await?;
            match writer.check_in_tx(&mut tx).await {
                Ok(()) => return Ok(tx),
                Err(fenced @ StoreError::Fenced { .. }) => {
                    drop(tx);
                    // Our own renewal counts the epoch up too, and that is no reason to stop.
                    let _renewed = self.renewal.lock().await;
                    if Arc::ptr_eq(&writer, &self.writer()) {
                        return Err(fenced);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the writer's lock again if its session was cut (the database restarted, say). While the server has not
    /// missed the cut session yet, the lock is still ours and busy: the next call tries again.
    ///
    /// # Errors
    /// `Fenced` when another process took it meanwhile: this one must stop. `Unavailable` while the database is.
    pub async fn keep_writer(&self) -> Result<(), StoreError> {
        let _renewal = self.renewal.lock().await;
        let held = self.writer();
        if held.check_session().await.is_ok() {
            return Ok(());
        }
        match SingleWriter::acquire(&self.store, WRITER).await {
            Ok(writer) => {
                *self.writer.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(writer);
                Ok(())
            }
            // Whoever takes over counts the epoch up, and only that ends the right to write.
            Err(StoreError::WriterBusy { .. }) => held.check_in_tx(&mut self.store.begin().await?).await,
            Err(error) => Err(error),
        }
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

#[cfg(test)]
mod tests;
