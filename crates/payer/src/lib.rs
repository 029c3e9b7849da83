//! A buyer's own Lightning node, for the CLI and the end-to-end tests.
//!
//! A thin typed wrapper around `ldk-node` with Bitcoin Core's RPC as chain source. What an invoice
//! commits to is checked before it gets here (`ailayer_client::purchase`); this crate pays exactly
//! what it is told, and knows how each payment ended also after a restart.

mod config;
mod error;
mod events;
mod node;

pub use config::PayerConfig;
pub use error::PayerError;
pub use node::{Payer, PayerBalances, PaymentOutcome};
