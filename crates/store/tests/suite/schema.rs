//! A store with every table of this crate.

use ailayer_devnet::Postgres;
use ailayer_store::{Migration, Store, StoreConfig, event_log, inbox, outbox, single_writer};

pub const MIGRATIONS: &[Migration] = &[
    Migration::new(1, "event log", event_log::SCHEMA_SQL),
    Migration::new(2, "inbox", inbox::SCHEMA_SQL),
    Migration::new(3, "outbox", outbox::SCHEMA_SQL),
    Migration::new(4, "single writer", single_writer::SCHEMA_SQL),
];

/// A configuration for an empty database of its own.
pub async fn new_database() -> StoreConfig {
    let postgres = Postgres::shared().await.unwrap();
    StoreConfig::new(postgres.create_database().await.unwrap())
}

pub async fn connect(config: &StoreConfig) -> Store {
    Store::connect(config, "shop", MIGRATIONS).await.unwrap()
}

pub async fn new_store() -> Store {
    connect(&new_database().await).await
}
