//! The audit log, believed only as far as its signature goes.

use std::sync::Arc;

use ailayer_client::CallError;
use ailayer_client::audit::{Appended, EntryProof};
use ailayer_tlog::note::{KeyError, Verifier};
use ailayer_tlog::{IndexPromise, NodeHash};
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::ports::AuditLog;

/// Why the log's word is not had.
#[derive(Debug, Error)]
pub enum LogError {
    /// The service refused or did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It takes too long; it may have acted nevertheless.
    #[error("the audit log does not answer in time")]
    Late,
    /// It names a key that is none.
    #[error("the audit log's key is malformed")]
    Key(#[from] KeyError),
    /// Its signature over the index does not verify under the key it is known by.
    #[error("the audit log's promise does not verify")]
    Promise,
}

impl LogError {
    /// True if the same bytes will never be taken.
    pub fn is_final_refusal(&self) -> bool {
        use ailayer_client::ErrorReason as Reason;
        let Self::Call(error) = self else { return false };
        matches!(error.reason(), Some(Reason::InputEmpty | Reason::InputTooLarge | Reason::InvalidField))
    }
}

/// The log this gateway writes to. Cloned freely.
#[derive(Clone)]
pub struct Log {
    port: Arc<dyn AuditLog>,
    key: Arc<OnceCell<Verifier>>,
}

impl Log {
    /// A log known by `pinned`; without it, by the key it names first while this process lives.
    pub fn new(port: Arc<dyn AuditLog>, pinned: Option<Verifier>) -> Self {
        Self { port, key: Arc::new(OnceCell::new_with(pinned)) }
    }

    /// The key the log is known by.
    pub async fn key(&self) -> Result<&Verifier, LogError> {
        let fetch = || async { Ok(Verifier::parse(&self.port.log().await?.verification_key)?) };
        self.key.get_or_try_init(fetch).await
    }

    /// Appends an entry and checks the log's signed word on its index. Sequenced durably when this returns.
    pub async fn append(&self, entry: &[u8]) -> Result<Appended, LogError> {
        let appended = self.port.append(entry).await?;
        let promise = IndexPromise {
            leaf_index: appended.leaf_index,
            leaf_hash: ailayer_tlog::leaf_hash(entry),
            sequenced_unix_ms: appended.sequenced_at.0,
        };
        if appended.leaf_hash != promise.leaf_hash
            || !promise.verifies(self.key().await?, &appended.index_signature)
        {
            return Err(LogError::Promise);
        }
        Ok(appended)
    }

    /// Tells how far an entry has come.
    pub async fn entry_proof(
        &self,
        leaf_hash: NodeHash,
        with: Option<NodeHash>,
    ) -> Result<EntryProof, LogError> {
        Ok(self.port.entry_proof(leaf_hash, with).await?)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("key", &self.key).finish_non_exhaustive()
    }
}
