//! PostgreSQL for the services: pool, migrations, and the parts of exactly-once that all of them need.
//!
//! | Module | What it gives |
//! |---|---|
//! | [`Store`] | a pool that sees only its service's schema, with time-outs everywhere |
//! | [`event_log`] | a feed whose cursor has no gaps and follows commit order |
//! | [`inbox`] | each event of another service is taken in once |
//! | [`outbox`] | calls to another service are made at least once, in order for each key |
//! | [`single_writer`] | at most one process writes, and a superseded one is refused |
//!
//! The last four keep tables in the service's own schema: add their `SCHEMA_SQL` to its migrations.

mod config;
mod error;
pub mod event_log;
pub mod inbox;
mod integer;
mod kept_conn;
mod migrate;
pub mod outbox;
pub mod single_writer;
mod store;

pub use config::StoreConfig;
pub use error::{MigrationError, StoreError};
pub use kept_conn::{KeptConn, discard};
pub use migrate::Migration;
pub use single_writer::SingleWriter;
pub use store::{Conn, Store, Tx};
