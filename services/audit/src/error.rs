//! Why the service stops, and why a call fails.

use ailayer_platform::client::ClientError;
use ailayer_platform::config::ConfigError;
use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_platform::server::ServerError;
use ailayer_platform::tasks::TasksError;
use ailayer_store::StoreError;

use crate::domain::entry::{EntryError, MAX_ENTRY_BYTES};
use crate::fsck::FsckError;
use crate::ports::ChainError;
use crate::secrets::SecretError;
use crate::tasks::anchor_checkpoints::AnchorError;
use crate::tasks::sequence_entries::AppendError;
use crate::tasks::sign_checkpoints::SignError;
use crate::tree::TreeReadError;

/// Why the audit service did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The indexer's endpoint.
    #[error("audit.indexer")]
    Indexer(#[source] ClientError),
    /// The database.
    #[error("database")]
    Store(#[from] StoreError),
    /// The log's key or the wallet's seed.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The stored log does not verify: the class VERIFICATION_FAILED. Nothing is served from it.
    #[error(transparent)]
    Fsck(FsckError),
    /// The database holds the log of another origin or key.
    #[error("the database holds the log {stored}, the configuration and the key file name {configured}")]
    OtherLog {
        /// Verification key in the database.
        stored: String,
        /// Verification key configured.
        configured: String,
    },
    /// The first checkpoint could not be signed.
    #[error("checkpoint")]
    Sign(#[from] SignError),
    /// The wallet.
    #[error("wallet")]
    Wallet(#[from] AnchorError),
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A task.
    #[error(transparent)]
    Tasks(#[from] TasksError),
}

impl From<FsckError> for RunError {
    fn from(error: FsckError) -> Self {
        match error {
            FsckError::Store(StoreError::Corrupt(what)) => Self::Fsck(FsckError::Damaged(what)),
            FsckError::Store(error) => Self::Store(error),
            damaged => Self::Fsck(damaged),
        }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The bytes are no entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The entry got no index.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log holds no such entry.
    #[error("the log holds no such entry")]
    EntryNotFound,
    /// A field breaks a documented rule.
    #[error("{field} {rule}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// A size, index or page token lies outside the log.
    #[error("{field} {rule}")]
    OutsideLog {
        /// The field.
        field: &'static str,
        /// What it must be.
        rule: &'static str,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] TreeReadError),
    /// The chain source.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        match error {
            CallError::Entry(EntryError::Empty) => Self::field(ErrorReason::InputEmpty, "entry", message),
            CallError::Entry(EntryError::TooLarge(_)) => {
                Self::field(ErrorReason::InputTooLarge, "entry", message)
                    .with_metadata("max_bytes", MAX_ENTRY_BYTES.to_string())
            }
            CallError::Append(AppendError::Overloaded) => Self::new(ErrorReason::Overloaded, message),
            CallError::Append(AppendError::ShuttingDown) => Self::new(ErrorReason::ShuttingDown, message),
            CallError::Append(AppendError::Storage(cause)) => {
                Self::new(ErrorReason::StorageUnavailable, message).with_source(cause)
            }
            CallError::EntryNotFound => Self::new(ErrorReason::EntryNotFound, message),
            CallError::Field { field, .. } => Self::invalid_field(field, message),
            CallError::OutsideLog { field, .. } => Self::field(ErrorReason::InvalidCursor, field, message),
            CallError::Store(StoreError::Corrupt(what)) | CallError::Tree(TreeReadError::Damaged(what)) => {
                Self::new(ErrorReason::VerificationFailed, "what is stored does not verify").with_source(what)
            }
            CallError::Store(error) | CallError::Tree(TreeReadError::Store(error)) => error.into(),
            CallError::Tree(error @ TreeReadError::NoSuchProof(_)) => {
                Self::new(ErrorReason::InvalidCursor, message).with_source(error)
            }
            CallError::Chain(error) => Self::unavailable("indexer", error),
        }
    }
}

impl From<CallError> for tonic::Status {
    fn from(error: CallError) -> Self {
        Failure::from(error).into()
    }
}
