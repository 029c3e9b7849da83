//! How the buyer's node fails.

use std::time::Duration;

use ailayer_primitives::Network;
use thiserror::Error;

/// A call that did not do what it should. Nothing was paid unless the variant says otherwise.
#[derive(Debug, Error)]
pub enum PayerError {
    /// The folder, the keys or the address are not usable.
    #[error("the wallet cannot be opened: {0}")]
    Open(String),
    /// Another process holds the folder.
    #[error("the wallet in {0} is in use by another process")]
    InUse(String),
    /// The chain source does not answer, or the port is taken.
    #[error("the wallet's node does not start: {0}")]
    Start(String),
    /// The node refused or could not do it.
    #[error("the wallet's node: {0}")]
    Node(String),
    /// Not an invoice, node id or address.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// The invoice is for another chain.
    #[error("the invoice is for another network than {0}")]
    WrongNetwork(Network),
    /// The invoice asks more than the caller allows.
    #[error("the invoice asks {asked_msat} msat, more than the {limit_msat} msat allowed")]
    TooExpensive {
        /// What the invoice asks.
        asked_msat: u64,
        /// What the caller allows.
        limit_msat: u64,
    },
    /// The funds on chain or in channels are short.
    #[error("not enough funds in the wallet")]
    InsufficientFunds,
    /// Something did not happen in time. It may happen later.
    #[error("{what} did not happen within {waited:?}")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
    },
}
