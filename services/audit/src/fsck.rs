//! Verifies the stored log before the service starts. Whoever can write to the database can change a row; nobody can do
//! so without being found here, at the next start at the latest.

use std::collections::VecDeque;

use ailayer_store::{Store, StoreError};
use ailayer_tlog::checkpoint::CheckpointError;
use ailayer_tlog::note::{Note, Verifier};
use ailayer_tlog::proof::NodeReader;
use ailayer_tlog::{Checkpoint, CompleteNode, Frontier};

use crate::config::StartCheck;
use crate::domain::anchor::Anchor;
use crate::domain::{commitment, spv};
use crate::store::checkpoint::{self, StoredCheckpoint};
use crate::store::log::TreeHead;
use crate::store::{anchor, entry, node};
use crate::tree::{self, TreeReadError};

/// Rows read at once.
const PAGE: u32 = 1024;

/// Why the log was found damaged, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored log contradicts itself, its signatures or its anchors.
    #[error("log damaged: {0}")]
    Damaged(String),
}

impl From<TreeReadError> for FsckError {
    fn from(error: TreeReadError) -> Self {
        match error {
            TreeReadError::Store(error) => Self::Store(error),
            other => damaged(other),
        }
    }
}

fn damaged(what: impl std::fmt::Display) -> FsckError {
    FsckError::Damaged(what.to_string())
}

/// Verifies the log and returns the tree to append to.
///
/// # Errors
/// [`FsckError::Damaged`] names the first thing that does not fit.
pub async fn check(
    store: &Store,
    log: &Verifier,
    depth: StartCheck,
) -> Result<(TreeHead, Frontier), FsckError> {
    let (head, frontier) = tree::load(store).await?;
    if depth == StartCheck::Full {
        check_entries(store, log, head).await?;
        check_anchors(store).await?;
    }
    if let Some(newest) = checkpoint::newest(store.pool()).await? {
        check_note(&newest, log)?;
        tree::check_consistency(store, (newest.tree_size, newest.root_hash), head).await?;
    }
    Ok((head, frontier))
}

/// Reads every entry, computes the tree anew and compares each node, each checkpoint and the head with it.
async fn check_entries(store: &Store, log: &Verifier, head: TreeHead) -> Result<(), FsckError> {
    let mut frontier = Frontier::new();
    let mut checkpoints = Checkpoints::new(store, log);
    let mut node_count = 0u64;
    checkpoints.compare(&frontier).await?;
    loop {
        let entries = entry::page(store.pool(), frontier.tree_size(), PAGE).await?;
        if entries.is_empty() {
            break;
        }
        let mut completed = Vec::new();
        for entry in entries {
            if entry.leaf_index != frontier.tree_size() {
                return Err(damaged(format_args!("entry {} is missing", frontier.tree_size())));
            }
            let nodes = frontier.append(entry.leaf_hash).map_err(damaged)?;
            completed.extend(nodes.into_iter().filter(|node| node.id.level > 0));
            checkpoints.compare(&frontier).await?;
        }
        compare_nodes(store, &completed).await?;
        node_count = node_count.saturating_add(u64::try_from(completed.len()).unwrap_or(u64::MAX));
    }
    if frontier.tree_size() != head.tree_size || frontier.root() != head.root_hash {
        return Err(damaged("the entries do not lead to the log's size and root"));
    }
    if node::count(store.pool()).await? != node_count {
        return Err(damaged("there are nodes that the entries do not lead to"));
    }
    checkpoints.expect_end().await
}

async fn compare_nodes(store: &Store, completed: &[CompleteNode]) -> Result<(), FsckError> {
    let ids: Vec<_> = completed.iter().map(|node| node.id).collect();
    let stored = node::read(store.pool(), &ids).await?;
    for CompleteNode { id, hash } in completed {
        if stored.node(id.level, id.index) != Some(*hash) {
            return Err(damaged(format_args!(
                "node level {} index {} is wrong or missing",
                id.level, id.index
            )));
        }
    }
    Ok(())
}

/// The stored checkpoints, ascending, read page by page.
struct Checkpoints<'s> {
    store: &'s Store,
    log: &'s Verifier,
    waiting: VecDeque<StoredCheckpoint>,
    read_up_to: Option<u64>,
    at_end: bool,
}

impl<'s> Checkpoints<'s> {
    const fn new(store: &'s Store, log: &'s Verifier) -> Self {
        Self { store, log, waiting: VecDeque::new(), read_up_to: None, at_end: false }
    }

    /// The next checkpoint that was not compared yet.
    async fn next(&mut self) -> Result<Option<&StoredCheckpoint>, FsckError> {
        if self.waiting.is_empty() && !self.at_end {
            let page = checkpoint::page(self.store.pool(), self.read_up_to, PAGE).await?;
            self.at_end = page.is_empty();
            self.read_up_to = page.last().map_or(self.read_up_to, |last| Some(last.tree_size));
            self.waiting = page.into();
        }
        Ok(self.waiting.front())
    }

    /// Compares the checkpoint of this size, if there is one, with the tree.
    async fn compare(&mut self, frontier: &Frontier) -> Result<(), FsckError> {
        let log = self.log;
        let Some(checkpoint) = self.next().await? else { return Ok(()) };
        if checkpoint.tree_size != frontier.tree_size() {
            return Ok(());
        }
        check_note(checkpoint, log)?;
        if checkpoint.root_hash != frontier.root() {
            return Err(damaged(format_args!("checkpoint {} has another root", checkpoint.tree_size)));
        }
        self.waiting.pop_front();
        Ok(())
    }

    async fn expect_end(&mut self) -> Result<(), FsckError> {
        match self.next().await? {
            None => Ok(()),
            Some(left) => Err(damaged(format_args!("checkpoint {} is beyond the log", left.tree_size))),
        }
    }
}

/// Checks the log's signature and that the signed size and root are those of the row.
fn check_note(stored: &StoredCheckpoint, log: &Verifier) -> Result<(), FsckError> {
    let wrong = |what: CheckpointError| damaged(format_args!("checkpoint {}: {what}", stored.tree_size));
    let note = Note::parse(stored.note.as_bytes()).map_err(|error| wrong(error.into()))?;
    let signed = Checkpoint::open(&note, log).map_err(wrong)?;
    if signed.tree_size != stored.tree_size || signed.root_hash != stored.root_hash {
        return Err(damaged(format_args!("checkpoint {} is not what was signed", stored.tree_size)));
    }
    Ok(())
}

async fn check_anchors(store: &Store) -> Result<(), FsckError> {
    let mut from = 0;
    loop {
        let anchors = anchor::every(store.pool(), from, PAGE).await?;
        let Some(last) = anchors.last() else { return Ok(()) };
        from = last.anchor_id.saturating_add(1);
        for anchor in &anchors {
            let checkpoint = checkpoint::of_size(store.pool(), anchor.tree_size).await?;
            let checkpoint = checkpoint.ok_or_else(|| damaged("an anchor without its checkpoint"))?;
            check_anchor(anchor, &checkpoint)
                .map_err(|what| damaged(format_args!("anchor of checkpoint {}: {what}", anchor.tree_size)))?;
        }
    }
}

fn check_anchor(anchor: &Anchor, checkpoint: &StoredCheckpoint) -> Result<(), String> {
    let note = Note::parse(checkpoint.note.as_bytes()).map_err(|error| error.to_string())?;
    let digest = commitment::digest(note.text());
    if anchor.attempts.iter().any(|made| commitment::find(&made.transaction, digest) != Some(made.vout)) {
        return Err("a transaction does not commit to it".to_owned());
    }
    let Some(inclusion) = &anchor.inclusion else { return Ok(()) };
    if anchor.attempts.iter().all(|made| made.txid != inclusion.txid) {
        return Err("the transaction in the block is none of its own".to_owned());
    }
    let headers = spv::decode_headers(&inclusion.headers).map_err(|error| error.to_string())?;
    spv::verify_headers(inclusion.block.block_hash, &headers).map_err(|error| error.to_string())?;
    let first = headers.first().ok_or("no headers")?;
    spv::verify_branch(inclusion.txid, &inclusion.branch, first).map_err(|error| error.to_string())
}
