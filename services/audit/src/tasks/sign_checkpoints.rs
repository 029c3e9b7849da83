//! Signs a checkpoint at every interval in which the tree grew.
//!
//! A checkpoint is shown only after it is stored; storing refuses a second one of a size and one below the newest. So
//! the log never signs away its own past: no two roots for a size, no size that goes back.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::clock;
use ailayer_platform::tasks::Shutdown;
use ailayer_platform::telemetry::{Gauge, gauge};
use ailayer_store::{SingleWriter, Store, StoreError};
use ailayer_tlog::Checkpoint;
use ailayer_tlog::checkpoint::CheckpointError;
use ailayer_tlog::note::Signer;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::store::checkpoint::{self, StoredCheckpoint};
use crate::store::log::TreeHead;
use crate::tree::{self, TreeReadError};

/// Why no checkpoint was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tree could not be read, or is not consistent with the newest checkpoint.
    #[error(transparent)]
    Tree(#[from] TreeReadError),
    /// Size or root cannot be written as a checkpoint.
    #[error("the checkpoint cannot be signed: {0}")]
    Checkpoint(#[from] CheckpointError),
}

impl SignError {
    const fn is_passing(&self) -> bool {
        match self {
            Self::Store(error) | Self::Tree(TreeReadError::Store(error)) => error.is_transient(),
            _ => false,
        }
    }
}

/// Signs and stores checkpoints.
#[derive(Clone)]
pub struct CheckpointSigner {
    /// The database.
    pub store: Store,
    /// Proof of being the only writer.
    pub writer: Arc<SingleWriter>,
    /// The log's key.
    pub signer: Arc<Signer>,
}

impl CheckpointSigner {
    /// The newest checkpoint, signed now if the tree has grown since the last one or there is none.
    ///
    /// # Errors
    /// [`SignError`]; nothing was signed away then. [`TreeReadError::Damaged`] when the tree does not extend the newest
    /// checkpoint.
    pub async fn ensure(&self, head: TreeHead) -> Result<StoredCheckpoint, SignError> {
        let newest = checkpoint::newest(self.store.pool()).await?;
        match newest {
            Some(newest) if newest.tree_size == head.tree_size && newest.root_hash == head.root_hash => {
                Ok(newest)
            }
            Some(newest) if newest.tree_size >= head.tree_size => {
                Err(damaged("there is a signed checkpoint that the tree does not lead to"))
            }
            newest => self.sign(newest, head).await,
        }
    }

    async fn sign(
        &self,
        newest: Option<StoredCheckpoint>,
        head: TreeHead,
    ) -> Result<StoredCheckpoint, SignError> {
        if let Some(newest) = newest {
            tree::check_consistency(&self.store, (newest.tree_size, newest.root_hash), head).await?;
        }
        let origin = self.signer.verifier().name().to_owned();
        let body = Checkpoint { origin, tree_size: head.tree_size, root_hash: head.root_hash };
        let signed = StoredCheckpoint {
            tree_size: head.tree_size,
            root_hash: head.root_hash,
            note: body.sign(&self.signer)?.to_string(),
            signed: clock::now_ms(),
        };
        let mut tx = self.store.begin().await?;
        self.writer.check_in_tx(&mut tx).await?;
        if !checkpoint::insert_in_tx(&mut tx, &signed).await? {
            return Err(damaged("a checkpoint of this size or a larger one is there already"));
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(signed)
    }
}

fn damaged(what: &str) -> SignError {
    SignError::Tree(TreeReadError::Damaged(what.to_owned()))
}

/// Runs until the shutdown.
///
/// # Errors
/// [`SignError`] when the log is damaged or this process is no longer its writer: the service must stop.
pub async fn run(
    signer: CheckpointSigner,
    interval: Duration,
    head: watch::Receiver<TreeHead>,
    published: watch::Sender<Arc<StoredCheckpoint>>,
    shutdown: Shutdown,
) -> Result<(), SignError> {
    let tree_size = gauge("ailayer.audit.checkpoint.tree_size", "{entry}", "size of the newest checkpoint");
    show(&tree_size, &published.borrow());
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let now = *head.borrow();
        if now.tree_size <= published.borrow().tree_size {
            continue;
        }
        match signer.ensure(now).await {
            Ok(checkpoint) => {
                show(&tree_size, &checkpoint);
                published.send_replace(Arc::new(checkpoint));
            }
            Err(error) if error.is_passing() => {
                tracing::warn!(error = %error, "no checkpoint was signed, trying again");
            }
            Err(error) => return Err(error),
        }
    }
}

fn show(tree_size: &Gauge, checkpoint: &StoredCheckpoint) {
    tree_size.set(i64::try_from(checkpoint.tree_size).unwrap_or(i64::MAX), &[]);
}
