//! What the indexer needs from outside.

use std::time::Duration;

use async_trait::async_trait;
use bitcoin::block::Header;
use bitcoin::{BlockHash, Script, Txid};
use thiserror::Error;

use crate::domain::fee::FeeRate;
use crate::domain::merkle::MerkleBranch;

/// An Electrum server. **Nothing it says is believed by itself**: callers check headers, ids and proofs.
///
/// Every call ends within the source's request timeout, one way or the other.
#[async_trait]
pub trait ElectrumSource: Send + Sync {
    /// Reaches the server and makes sure that it serves the expected network.
    async fn check(&self) -> Result<(), SourceError>;
    /// The newest block the server knows.
    async fn tip(&self) -> Result<SourceTip, SourceError>;
    /// Headers ascending from a height: at most `count`, fewer at the tip, none above it.
    async fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError>;
    /// A transaction in consensus encoding; `None` if the server knows no such one.
    async fn transaction(&self, txid: Txid) -> Result<Option<Vec<u8>>, SourceError>;
    /// The transactions that pay to or spend from a script.
    async fn script_history(&self, script: &Script) -> Result<Vec<HistoryEntry>, SourceError>;
    /// The merkle branch of a transaction in the block at a height; `None` if the server sees it elsewhere.
    async fn merkle_branch(&self, txid: Txid, height: u32) -> Result<Option<MerkleBranch>, SourceError>;
    /// Hands a transaction to the network.
    async fn broadcast(&self, raw: &[u8]) -> Result<BroadcastOutcome, SourceError>;
    /// The rate that confirms within `target_blocks`; `None` if the server has no estimate.
    async fn estimate_fee(&self, target_blocks: u32) -> Result<Option<FeeRate>, SourceError>;
    /// The lowest rate that is relayed now.
    async fn relay_fee(&self) -> Result<FeeRate, SourceError>;
}

/// The newest block of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceTip {
    /// Its height.
    pub height: u32,
    /// Its header.
    pub header: Header,
}

/// One line of a script's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The transaction.
    pub txid: Txid,
    /// Where the server says it is; `None` while unconfirmed.
    pub height: Option<u32>,
}

/// What the server did with a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BroadcastOutcome {
    /// It was taken, or was known already.
    Accepted,
    /// It was refused, with the server's reason.
    Rejected(String),
}

/// Why a source gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// It cannot be reached, hung up, or did not answer in time.
    #[error("electrum server does not answer: {0}")]
    Unavailable(String),
    /// More requests are waiting than the queue holds.
    #[error("too many requests to the electrum server are waiting")]
    Overloaded {
        /// When to come back.
        retry_after: Duration,
    },
    /// It answered that it will not answer.
    #[error("electrum server refused: {0}")]
    Refused(String),
    /// The answer would be longer than the server sends.
    #[error("electrum server holds too long a history")]
    TooLarge,
    /// The answer is not what the protocol promises.
    #[error("electrum server broke the protocol: {0}")]
    Malformed(String),
    /// It serves another network.
    #[error("electrum server serves another network: genesis is {found}, expected {expected}")]
    WrongNetwork {
        /// The genesis hash of the configured network.
        expected: BlockHash,
        /// The server's.
        found: BlockHash,
    },
}
