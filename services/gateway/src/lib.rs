//! Quotes, jobs and settlement: sells model answers for bitcoin.
//!
//! A paid inference enters at `rpc/create_quote.rs`, is locked in by `tasks/follow_payments.rs`, driven by
//! [`driver`], changed only through [`jobs`] by the rules of [`domain::job`], and leaves at `rpc/get_result.rs` and
//! `rpc/get_receipt.rs`. See README.md for the order of durable writes.

pub mod access;
pub mod adapters;
pub mod admission;
pub mod app;
pub mod audit_log;
pub mod brakes;
pub mod config;
pub mod crash_points;
pub mod deposits;
pub mod domain;
pub mod driver;
pub mod error;
pub mod jobs;
pub mod known;
pub mod models;
pub mod operators;
pub mod places;
pub mod ports;
pub mod prepaid;
pub mod prices;
pub mod proofs;
pub mod quotes;
pub mod reconcile;
pub mod rpc;
pub mod secrets;
pub mod signals;
pub mod store;
pub mod tasks;
mod telemetry;

pub use app::{NAME, RunError, run};
pub use config::Config;
