//! Follows the Bitcoin chain through an Electrum server, and believes only what it can check.
//!
//! | module | idea |
//! |---|---|
//! | [`domain`] | the rules: headers, difficulty, merkle branches, fee rates; pure |
//! | [`ports`], [`adapters`] | the Electrum server |
//! | [`store`] | the best chain and the log of how it came to be |
//! | [`tasks`] | the follower |
//! | [`verifier`] | transactions with proofs |
//! | [`rpc`] | `ailayer.indexer.v1.IndexerService` |

pub mod adapters;
pub mod app;
pub mod config;
pub mod domain;
pub mod error;
pub mod ports;
pub mod rpc;
pub mod store;
pub mod sync;
pub mod tasks;
pub mod telemetry;
pub mod verifier;

pub use app::run;
pub use config::Config;
pub use error::RunError;

/// The service's name: its table in the configuration, its schema in the database.
pub const NAME: &str = "indexer";
