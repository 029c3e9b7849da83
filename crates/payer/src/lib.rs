//! A buyer's own Lightning node, for the CLI and the end-to-end tests.
//!
//! A thin typed wrapper around `ldk-node` with Bitcoin Core's RPC as chain source. What an invoice
//! commits to (price, quote, payee) is checked before it gets here (`ailayer_client::purchase`); this crate checks
//! what a wallet can: the network and the most it may spend. It knows how each payment ended also after a restart.

mod check;
mod config;
mod error;
mod events;
mod node;
mod off_runtime;

pub use check::check_invoice;
pub use config::PayerConfig;
pub use error::PayerError;
pub use node::{Payer, PayerBalances, PaymentOutcome};
