//! The sequencer: the one task that gives entries their indices.
//!
//! It gathers whatever waits while the previous commit runs and writes it as one transaction: entries, the nodes they
//! complete, and the log's size and root by compare-and-set. An append is answered after that commit; an entry whose
//! caller went away is sequenced all the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_platform::health::Component;
use ailayer_platform::tasks::Shutdown;
use ailayer_platform::telemetry::{Counter, Histogram, counter, histogram};
use ailayer_platform::{clock, crash};
use ailayer_primitives::UnixMs;
use ailayer_store::{SingleWriter, Store, StoreError};
use ailayer_tlog::{Frontier, NodeHash};
use tokio::sync::{mpsc, watch};

use crate::domain::batch::{self, BatchPlan};
use crate::domain::entry::Placement;
use crate::store::log::{self, TreeHead};
use crate::store::{entry, node};
use crate::tree::{self, TreeReadError};

mod queue;

use queue::Append;
pub use queue::{AppendError, SequencerHandle, SequencerLimits};

/// Most bytes of entries in one transaction.
const MAX_BATCH_BYTES: usize = 8 * 1024 * 1024;
/// How often a batch is tried before its callers are told that the database does not answer.
const TRIES: u32 = 3;
/// Wait before the second try; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Time between looks at the database after an unclear end, while no append waits.
const RECOVER_INTERVAL: Duration = Duration::from_secs(1);

/// Why the sequencer could not commit.
#[derive(Debug, thiserror::Error)]
pub enum SequenceError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored log could not be read, or is damaged.
    #[error(transparent)]
    Tree(#[from] TreeReadError),
    /// The log was not where this writer left it.
    #[error("the log moved under its only writer")]
    Moved,
}

impl SequenceError {
    /// True when trying again may help: after an unclear commit, or while the database is away.
    const fn is_passing(&self) -> bool {
        match self {
            Self::Moved | Self::Store(StoreError::Conflict { .. }) => true,
            Self::Store(error) | Self::Tree(TreeReadError::Store(error)) => error.is_transient(),
            Self::Tree(_) => false,
        }
    }
}

/// The task's state.
pub struct Sequencer {
    store: Store,
    writer: Arc<SingleWriter>,
    queue: mpsc::Receiver<Append>,
    limits: SequencerLimits,
    /// The tree as of the last commit; `None` when its outcome is unknown and the database must be asked.
    tree: Option<(TreeHead, Frontier)>,
    head: watch::Sender<TreeHead>,
    health: Component,
    metrics: Metrics,
}

struct Metrics {
    entries: Counter,
    batch_entries: Histogram,
    commit_duration: Histogram,
}

impl Sequencer {
    /// Prepares the sequencer on a verified tree; `head` tells everyone about each commit.
    pub fn new(
        store: Store,
        writer: Arc<SingleWriter>,
        limits: SequencerLimits,
        tree: (TreeHead, Frontier),
        health: Component,
    ) -> (Self, SequencerHandle, watch::Receiver<TreeHead>) {
        let (handle, queue) = queue::new(limits);
        let (head, head_seen) = watch::channel(tree.0);
        let metrics = Metrics {
            entries: counter("ailayer.audit.entries", "{entry}", "appends answered, by outcome"),
            batch_entries: histogram("ailayer.audit.batch.entries", "{entry}", "entries of a group commit"),
            commit_duration: histogram("ailayer.audit.commit.duration", "s", "time of a group commit"),
        };
        let sequencer = Self { store, writer, queue, limits, tree: Some(tree), head, health, metrics };
        (sequencer, handle, head_seen)
    }

    /// Sequences until the shutdown, then what still waits.
    ///
    /// # Errors
    /// [`SequenceError`] when this process is no longer the writer or the log is damaged: the service must stop.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), SequenceError> {
        self.health.set_ready();
        loop {
            let first = tokio::select! {
                biased;
                () = shutdown.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
                first = self.queue.recv() => first,
                () = tokio::time::sleep(RECOVER_INTERVAL), if self.tree.is_none() => {
                    self.recover().await?;
                    continue;
                }
            };
            let Some(first) = first else { return Ok(()) };
            let batch = self.gather(first);
            self.commit(batch).await?;
        }
    }

    /// Reads the tree again after an unclear end, although no append asks for it: what was committed must be shown, so
    /// that it gets its checkpoint.
    async fn recover(&mut self) -> Result<(), SequenceError> {
        match self.load_tree().await {
            Ok(tree) => {
                self.tree = Some(tree);
                self.health.set_ready();
                Ok(())
            }
            Err(error) if error.is_passing() => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn load_tree(&self) -> Result<(TreeHead, Frontier), SequenceError> {
        let tree = tree::load(&self.store).await?;
        self.head.send_replace(tree.0);
        Ok(tree)
    }

    /// Everything that waits, within the bounds of a batch.
    fn gather(&mut self, first: Append) -> Vec<Append> {
        let mut bytes = first.entry.bytes().len();
        let mut batch = vec![first];
        while batch.len() < self.limits.max_batch_entries && bytes < MAX_BATCH_BYTES {
            let Ok(next) = self.queue.try_recv() else { break };
            bytes = bytes.saturating_add(next.entry.bytes().len());
            batch.push(next);
        }
        batch
    }

    /// Commits a batch, asking the database again after an unclear end, and answers every caller.
    async fn commit(&mut self, batch: Vec<Append>) -> Result<(), SequenceError> {
        let mut backoff = FIRST_BACKOFF;
        let mut tries_left = TRIES;
        loop {
            let started = Instant::now();
            let error = match self.try_commit(&batch).await {
                Ok(placements) => {
                    self.metrics.commit_duration.record(started.elapsed().as_secs_f64(), &[]);
                    crash::point("audit.a7.appended");
                    self.health.set_ready();
                    self.answer(batch, placements);
                    return Ok(());
                }
                Err(error) => error,
            };
            tries_left = tries_left.saturating_sub(1);
            tracing::warn!(error = %error, tries_left, entries = batch.len(), "group commit failed");
            self.health.set_unready("the database does not take entries");
            let passing = error.is_passing();
            if passing && tries_left > 0 {
                tokio::time::sleep(backoff).await;
                backoff = backoff.saturating_mul(2);
                continue;
            }
            let error = Arc::new(error);
            self.metrics.entries.add(count(&batch), &[("outcome", "failed")]);
            for append in batch {
                let _ = append.reply.send(Err(AppendError::Storage(Arc::clone(&error))));
            }
            // The service lives on through an outage, but not past a lost lock or a damaged log.
            return if passing {
                Ok(())
            } else {
                Err(Arc::into_inner(error).unwrap_or(SequenceError::Moved))
            };
        }
    }

    /// One transaction. On any error the tree is forgotten, so that the next try reads it again.
    async fn try_commit(&mut self, batch: &[Append]) -> Result<Vec<Placement>, SequenceError> {
        let (before, frontier) = match self.tree.take() {
            Some(tree) => tree,
            None => self.load_tree().await?,
        };
        let leaf_hashes: Vec<NodeHash> = batch.iter().map(|append| append.entry.leaf_hash()).collect();
        let mut tx = self.store.begin().await?;
        self.writer.check_in_tx(&mut tx).await?;
        let known = entry::find_in_tx(&mut tx, &leaf_hashes).await?;
        let now = UnixMs(clock::now_ms().0.max(before.sequenced.0));
        let plan = batch::plan(&frontier, &leaf_hashes, &known, now).map_err(TreeReadError::from)?;
        if plan.leaves.is_empty() {
            self.tree = Some((before, frontier));
            return Ok(plan.placements);
        }
        let after = TreeHead {
            tree_size: plan.frontier.tree_size(),
            root_hash: plan.frontier.root(),
            sequenced: now,
        };
        entry::insert_in_tx(&mut tx, new_entries(batch, &plan)?, now).await?;
        node::insert_in_tx(&mut tx, &plan.nodes).await?;
        if !log::advance_in_tx(&mut tx, &before, &after).await? {
            return Err(SequenceError::Moved);
        }
        tx.commit().await.map_err(StoreError::from)?;
        self.tree = Some((after, plan.frontier));
        self.head.send_replace(after);
        Ok(plan.placements)
    }

    fn answer(&self, batch: Vec<Append>, placements: Vec<Placement>) {
        let duplicates = placements.iter().filter(|placement| placement.duplicate).count();
        let duplicates = u64::try_from(duplicates).unwrap_or(u64::MAX);
        let all = count(&batch);
        self.metrics.batch_entries.record(f64::from(u32::try_from(all).unwrap_or(u32::MAX)), &[]);
        self.metrics.entries.add(duplicates, &[("outcome", "duplicate")]);
        self.metrics.entries.add(all.saturating_sub(duplicates), &[("outcome", "sequenced")]);
        for (append, placement) in batch.into_iter().zip(placements) {
            // A caller that went away finds its entry by appending it again.
            let _ = append.reply.send(Ok(placement));
        }
    }
}

fn count(batch: &[Append]) -> u64 {
    u64::try_from(batch.len()).unwrap_or(u64::MAX)
}

fn new_entries(batch: &[Append], plan: &BatchPlan) -> Result<entry::NewEntries, StoreError> {
    let mut entries = entry::NewEntries::default();
    for leaf in &plan.leaves {
        if let Some(append) = batch.get(leaf.position) {
            entries.push(leaf.leaf_index, leaf.leaf_hash, append.entry.bytes())?;
        }
    }
    Ok(entries)
}
