//! PostgreSQL: the best chain and the log of how it came to be.
//!
//! Headers and log change in the same transaction, by one writer; any number of replicas read.

use std::time::Duration;

use ailayer_primitives::Network;
use ailayer_store::event_log::{self, Signal};
use ailayer_store::{Migration, SingleWriter, Store, StoreConfig, StoreError, Tx, migration, single_writer};
use uuid::Uuid;

use crate::domain::block::{BlockRef, ChainEvent, ChainHeader};

mod event;
mod header;

pub use header::Snapshot;

/// The schema of the indexer.
const SCHEMA: &str = "indexer";
/// The name of the writer's lock.
const WRITER: &str = "indexer";
/// How long a standby waits for the lock before it looks at other things again.
const WRITER_PATIENCE: Duration = Duration::from_millis(200);

const MIGRATIONS: &[Migration] = &[
    migration!(1, "chain", "migrations/0001_chain.sql"),
    Migration::new(2, "event_log", event_log::SCHEMA_SQL),
    Migration::new(3, "single_writer", single_writer::SCHEMA_SQL),
];

/// The stored chain. Clones share the pool.
#[derive(Debug, Clone)]
pub struct ChainStore {
    store: Store,
    signal: Signal,
}

/// An event of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoggedEvent {
    /// Its place in the log, from 1.
    pub cursor: u64,
    /// What happened.
    pub event: ChainEvent,
}

impl ChainStore {
    /// Connects and migrates.
    pub async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        let store = Store::connect(config, SCHEMA, MIGRATIONS).await?;
        Ok(Self { store, signal: Signal::new() })
    }

    /// Becomes the writer; `None` while another process is.
    pub async fn acquire_writer(&self) -> Result<Option<SingleWriter>, StoreError> {
        match SingleWriter::acquire_within(&self.store, WRITER, WRITER_PATIENCE).await {
            Ok(writer) => Ok(Some(writer)),
            Err(StoreError::WriterBusy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The network and base this schema was created for; `None` while it is empty.
    pub async fn base(&self) -> Result<Option<(String, BlockRef)>, StoreError> {
        header::base(self.store.pool()).await
    }

    /// Stores the first header of the chain, once.
    pub async fn init_base(
        &self,
        writer: &SingleWriter,
        network: Network,
        base: ChainHeader,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        writer.check_in_tx(&mut tx).await?;
        header::insert_base_in_tx(&mut tx, network, base.block_ref()).await?;
        self.append_in_tx(&mut tx, &[ChainEvent::Connected(base)]).await?;
        tx.commit().await?;
        self.signal.notify();
        Ok(())
    }

    /// Makes steps durable: headers and log together, fenced against a writer that was replaced.
    ///
    /// On an error nothing of them is stored, except that the outcome of a commit whose answer was lost
    /// is unknown: load the chain again before going on.
    pub async fn commit(&self, writer: &SingleWriter, events: &[ChainEvent]) -> Result<(), StoreError> {
        let mut tx = self.store.begin().await?;
        writer.check_in_tx(&mut tx).await?;
        self.append_in_tx(&mut tx, events).await?;
        tx.commit().await?;
        self.signal.notify();
        Ok(())
    }

    async fn append_in_tx(&self, tx: &mut Tx, events: &[ChainEvent]) -> Result<(), StoreError> {
        header::apply_in_tx(tx, events).await?;
        for event in events {
            event_log::append_in_tx(tx, Uuid::now_v7(), event::kind(event), &event::encode(event)).await?;
        }
        Ok(())
    }

    /// The newest header; `None` before the base was stored.
    pub async fn tip(&self) -> Result<Option<ChainHeader>, StoreError> {
        header::tip(self.store.pool()).await
    }

    /// At most `limit` headers, ascending from a height.
    pub async fn headers(&self, start_height: u32, limit: u32) -> Result<Vec<ChainHeader>, StoreError> {
        header::range(self.store.pool(), start_height, limit).await
    }

    /// The newest `count` headers, ascending.
    pub async fn newest_headers(&self, count: u32) -> Result<Vec<ChainHeader>, StoreError> {
        header::newest(self.store.pool(), count).await
    }

    /// The tip and the headers at some heights, as of one moment; `None` before the base was stored.
    pub async fn snapshot(&self, heights: &[u32]) -> Result<Option<Snapshot>, StoreError> {
        header::snapshot(self.store.pool(), heights).await
    }

    /// The cursor of the newest event; 0 for an empty log.
    pub async fn head_cursor(&self) -> Result<u64, StoreError> {
        event_log::head(self.store.pool()).await
    }

    /// At most `limit` events after a cursor, in order, without a gap.
    pub async fn events_after(&self, cursor: u64, limit: u32) -> Result<Vec<LoggedEvent>, StoreError> {
        let stored = event_log::read_after(self.store.pool(), cursor, limit).await?;
        stored
            .into_iter()
            .map(|stored| {
                let event = event::decode(&stored.kind, &stored.payload)?;
                Ok(LoggedEvent { cursor: stored.cursor, event })
            })
            .collect()
    }

    /// Waits until there may be new events, or `timeout`: another replica's commits give no sign here.
    /// Every reader waits on a clone of its own.
    pub async fn wait_for_events(&mut self, timeout: Duration) {
        self.signal.wait(timeout).await;
    }
}
