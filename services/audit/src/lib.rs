//! The append-only transparency log and its anchors in Bitcoin.
//!
//! Follow an entry: [`rpc`] takes it, `tasks/sequence_entries` gives it an index in one durable commit,
//! `tasks/sign_checkpoints` puts it under a signed checkpoint, `tasks/anchor_checkpoints` puts that checkpoint into a
//! Bitcoin block, and `rpc/get_entry_proof` hands out the proof of all of it. The README says what is stored where.

mod adapters;
mod app;
pub mod config;
mod domain;
mod error;
mod fsck;
mod log_key;
mod ports;
mod rpc;
mod secrets;
mod store;
mod tasks;
mod tree;

pub use app::run;
pub use config::Config;
pub use error::RunError;

/// The service's name: configuration table, telemetry, health.
pub const NAME: &str = "audit";
