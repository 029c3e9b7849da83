//! What the audit service needs from outside: one view of the chain.

use std::error::Error;

use ailayer_primitives::Network;
use async_trait::async_trait;
use bitcoin::block::Header;
use bitcoin::{FeeRate, ScriptBuf, Transaction, Txid};

use crate::domain::spv::{BlockRef, MerkleBranch};

/// Most scripts one [`ChainView::script_transactions`] call takes.
pub const MAX_SCRIPTS: usize = 200;
/// Most headers one [`ChainView::headers`] call gives.
pub const MAX_HEADERS: u32 = 2016;

/// Why the chain could not be asked, or what it answered instead.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No answer in time, or the source is not in sync. Asking again later is right.
    #[error("the chain source does not answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The transaction was refused.
    #[error("the chain source refused the transaction: {0}")]
    Rejected(String),
    /// The answer is malformed or does not verify.
    #[error("the chain source's answer does not verify: {0}")]
    Invalid(String),
}

/// The newest block of the best chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// The block.
    pub block: BlockRef,
    /// The network the source follows.
    pub network: Network,
}

/// A transaction and where it stands.
#[derive(Debug, Clone)]
pub struct SeenTransaction {
    /// The transaction; its id was recomputed.
    pub transaction: Transaction,
    /// The block that is said to hold it, with the branch that must still be checked; `None` while unconfirmed.
    pub inclusion: Option<(BlockRef, MerkleBranch)>,
}

/// A source of chain data. Nothing it says about inclusion is believed before [`crate::domain::spv`] checked it.
#[async_trait]
pub trait ChainView: Send + Sync + 'static {
    /// The newest block.
    async fn tip(&self) -> Result<Tip, ChainError>;

    /// Headers of the best chain from a height upwards: at most `count` and at most [`MAX_HEADERS`], fewer where the
    /// chain ends, none when the height is above the tip.
    async fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, ChainError>;

    /// A transaction in the mempool or on the best chain; `None` when it is in neither.
    async fn transaction(&self, txid: Txid) -> Result<Option<SeenTransaction>, ChainError>;

    /// The transactions that pay to or spend from the scripts, at most [`MAX_SCRIPTS`].
    async fn script_transactions(&self, scripts: &[ScriptBuf]) -> Result<Vec<SeenTransaction>, ChainError>;

    /// Hands a transaction to the network; one that is known already is no error.
    async fn broadcast(&self, transaction: &Transaction) -> Result<(), ChainError>;

    /// The fee rate that confirms within a number of blocks.
    async fn fee_rate(&self, target_blocks: u32) -> Result<FeeRate, ChainError>;
}
