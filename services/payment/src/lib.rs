//! The Lightning node: hold invoices, payments, channels and their event log.
//!
//! The service's own rows are the truth; the node is told to act on them, and what it reports is read by the state
//! of the row. [`domain::hold_invoice`] draws the machine; [`service`] says in which order things are written.

pub mod adapters;
pub mod app;
pub mod config;
pub mod data_dir;
pub mod domain;
pub mod error;
pub mod ports;
pub mod rpc;
pub mod service;
pub mod store;
pub mod tasks;
mod telemetry;

pub use app::{RunError, run};
pub use config::Config;

/// The service's name: its configuration table, its schema, its health name.
pub const NAME: &str = "payment";
