//! Failures, and what callers are told of them.

use ailayer_platform::config::ConfigError;
use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_platform::server::ServerError;
use ailayer_platform::tasks::TasksError;
use ailayer_store::StoreError;
use bitcoin::Txid;
use thiserror::Error;

use crate::domain::merkle::MerkleError;
use crate::ports::SourceError;

/// How the service ended badly.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration cannot work.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error("database")]
    Store(#[from] StoreError),
    /// The server is not one to follow.
    #[error("indexer.electrum_url: {0}")]
    Source(SourceError),
    /// No thread for the server's connections.
    #[error("starting threads")]
    Threads(#[from] std::io::Error),
    /// The ports could not be taken.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A task failed or did not stop.
    #[error(transparent)]
    Tasks(#[from] TasksError),
}

/// Why a lookup has no answer.
#[derive(Debug, Error)]
pub enum LookupError {
    /// The follower has not caught up yet, or is halted.
    #[error("the indexer has not caught up with the chain")]
    NotSynced,
    /// The server knows no such transaction.
    #[error("no such transaction")]
    NotFound,
    /// The server answered with another transaction, or none that decodes.
    #[error("the server's bytes are not transaction {0}")]
    WrongTransaction(Txid),
    /// The server lists a transaction that has nothing to do with the scripts.
    #[error("transaction {0} has nothing to do with the scripts asked for")]
    Unrelated(Txid),
    /// The server lists a transaction that it cannot show.
    #[error("the server lists a transaction that it does not know")]
    Incomplete,
    /// Every script of the transaction has a history that is too long to be told.
    #[error("the block of transaction {0} cannot be found")]
    Unlocatable(Txid),
    /// The server named a block but has no proof for it.
    #[error("the server has no proof that transaction {txid} is in the block at height {height}")]
    NoProof {
        /// The transaction.
        txid: Txid,
        /// The height the server named.
        height: u32,
    },
    /// The server's proof does not lead to our header.
    #[error("the server's proof that transaction {txid} is in the block at height {height} does not verify")]
    WrongProof {
        /// The transaction.
        txid: Txid,
        /// The height the server named.
        height: u32,
        /// What is wrong with it.
        source: MerkleError,
    },
    /// The transaction is in a block below the checkpoint that the chain starts at.
    #[error("the block at height {height} lies below the start of the chain held here")]
    BelowBase {
        /// The height the server named.
        height: u32,
    },
    /// The scripts have more transactions than an answer may carry.
    #[error("the scripts have more than {limit} transactions")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The scripts' transactions are larger than an answer may be.
    #[error("the scripts' transactions have more than {limit} bytes")]
    TooManyBytes {
        /// The limit.
        limit: usize,
    },
    /// The server gave no answer.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Storage gave no answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LookupError {
    /// What "not found" means for a transaction that the server itself listed.
    pub(crate) fn within_history(self) -> Self {
        match self {
            Self::NotFound => Self::Incomplete,
            other => other,
        }
    }

    /// True for what a transaction leaving the mempool between two calls looks like.
    pub(crate) const fn may_be_a_race(&self) -> bool {
        matches!(self, Self::Incomplete)
    }
}

impl From<LookupError> for Failure {
    fn from(error: LookupError) -> Self {
        use LookupError as E;
        let message = error.to_string();
        match error {
            E::NotSynced => Self::new(ErrorReason::NotSynced, message),
            E::NotFound => Self::new(ErrorReason::TransactionNotFound, message),
            E::TooMany { .. } | E::TooManyBytes { .. } => {
                Self::field(ErrorReason::InputTooLarge, "script_pubkeys", message)
            }
            E::Source(error) => source_failure(error),
            E::Store(error) => error.into(),
            error => Self::new(ErrorReason::VerificationFailed, message).with_source(error),
        }
    }
}

/// What a caller learns when the server does not answer as it should.
pub(crate) fn source_failure(error: SourceError) -> Failure {
    match error {
        SourceError::Overloaded { retry_after } => {
            Failure::new(ErrorReason::Overloaded, error.to_string()).with_retry_after(retry_after)
        }
        SourceError::TooLarge => Failure::new(ErrorReason::InputTooLarge, error.to_string()),
        SourceError::Malformed(_) | SourceError::WrongNetwork { .. } => {
            Failure::new(ErrorReason::VerificationFailed, "the electrum server's answer cannot be used")
                .with_source(error)
        }
        SourceError::Unavailable(_) | SourceError::Refused(_) => Failure::unavailable("electrum", error),
    }
}
