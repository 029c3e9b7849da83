//! Tells how far an entry has come, with everything that proves it offline.

use std::sync::Arc;

use ailayer_proto::ailayer::audit::v1 as pb;
use ailayer_tlog::NodeHash;

use super::{AuditRpc, convert};
use crate::domain::anchor::Anchor;
use crate::domain::spv;
use crate::error::CallError;
use crate::ports::{ChainError, MAX_HEADERS};
use crate::store::checkpoint::{self, StoredCheckpoint};
use crate::store::{anchor, entry};
use crate::tree::{self, TreeReadError};

pub(super) async fn handle(
    rpc: &AuditRpc,
    request: pb::GetEntryProofRequest,
) -> Result<pb::GetEntryProofResponse, CallError> {
    let pool = rpc.store.pool();
    let leaf_hash = convert::leaf_hash(&request.leaf_hash, "leaf_hash")?;
    let placed = entry::locate(pool, leaf_hash).await?.ok_or(CallError::EntryNotFound)?;
    let with_index = match request.with_leaf_hash.as_slice() {
        [] => None,
        bytes => entry::locate(pool, convert::leaf_hash(bytes, "with_leaf_hash")?).await?,
    };
    let with_index = with_index.map(|placed| placed.leaf_index);
    let leaf_index = placed.leaf_index;

    if let Some((anchor, headers)) = proved_anchor(rpc, leaf_index, with_index).await? {
        let checkpoint = checkpoint::of_size(pool, anchor.tree_size).await?;
        let checkpoint = checkpoint.ok_or_else(|| damaged("an anchor without its checkpoint"))?;
        let shown = convert::anchor(&anchor, checkpoint.note.clone(), rpc.wallet.borrow().tip);
        let mut response = proofs(rpc, leaf_index, with_index, &checkpoint).await?;
        response.promise = pb::Promise::Anchored.into();
        response.anchor = shown;
        response.headers = headers.into_iter().map(|header| header.to_vec()).collect();
        return Ok(response);
    }
    let newest: Arc<StoredCheckpoint> = rpc.published.borrow().clone();
    if leaf_index < newest.tree_size {
        return proofs(rpc, leaf_index, with_index, &newest).await;
    }
    // Sequencing and integration are one transaction here: an entry that has an index is under a root.
    Ok(pb::GetEntryProofResponse {
        promise: pb::Promise::Integrated.into(),
        leaf_index,
        ..Default::default()
    })
}

/// The anchor to prove with: over both entries if there is one, else over the first; with headers that show its block on
/// the best chain.
async fn proved_anchor(
    rpc: &AuditRpc,
    leaf_index: u64,
    with_index: Option<u64>,
) -> Result<Option<(Anchor, Vec<[u8; 80]>)>, CallError> {
    let both = with_index.map(|with_index| with_index.max(leaf_index));
    for covered in both.into_iter().chain([leaf_index]) {
        if let Some(anchor) = anchor::smallest_final_over(rpc.store.pool(), covered).await?
            && let Some(headers) = headers_of(rpc, &anchor).await?
        {
            return Ok(Some((anchor, headers)));
        }
    }
    Ok(None)
}

/// Headers from the anchor's block up to the tip; those stored with it while the chain source is away; `None` when the
/// block is no longer on the chain, which the anchoring task will find as well.
async fn headers_of(rpc: &AuditRpc, anchor: &Anchor) -> Result<Option<Vec<[u8; 80]>>, CallError> {
    let Some(inclusion) = &anchor.inclusion else { return Ok(None) };
    let headers = match rpc.chain.headers(inclusion.block.height, MAX_HEADERS).await {
        Ok(headers) => headers,
        Err(error @ ChainError::Unavailable(_)) => {
            tracing::debug!(%error, "headers come from the store");
            return Ok(Some(inclusion.headers.clone()));
        }
        Err(error) => return Err(error.into()),
    };
    let deep_enough = headers.len() >= usize::try_from(rpc.anchor_confirmations).unwrap_or(usize::MAX);
    let on_chain = spv::verify_headers(inclusion.block.block_hash, &headers).is_ok();
    Ok((on_chain && deep_enough).then(|| spv::encode_headers(&headers)))
}

/// Both inclusion proofs to one checkpoint, verified against its signed root.
async fn proofs(
    rpc: &AuditRpc,
    leaf_index: u64,
    with_index: Option<u64>,
    checkpoint: &StoredCheckpoint,
) -> Result<pb::GetEntryProofResponse, CallError> {
    let inclusion_hashes = proof_to(rpc, leaf_index, checkpoint).await?;
    let with_leaf_index = with_index.filter(|index| *index < checkpoint.tree_size);
    let with_inclusion_hashes = match with_leaf_index {
        Some(index) => proof_to(rpc, index, checkpoint).await?,
        None => Vec::new(),
    };
    Ok(pb::GetEntryProofResponse {
        promise: pb::Promise::Published.into(),
        leaf_index,
        checkpoint: checkpoint.note.clone(),
        tree_size: checkpoint.tree_size,
        inclusion_hashes: convert::hashes(&inclusion_hashes),
        with_leaf_index,
        with_inclusion_hashes: convert::hashes(&with_inclusion_hashes),
        anchor: None,
        headers: Vec::new(),
    })
}

async fn proof_to(
    rpc: &AuditRpc,
    leaf_index: u64,
    checkpoint: &StoredCheckpoint,
) -> Result<Vec<NodeHash>, CallError> {
    let (hashes, root) = tree::inclusion_proof(&rpc.store, leaf_index, checkpoint.tree_size).await?;
    if root != checkpoint.root_hash {
        return Err(damaged("the nodes do not lead to the checkpoint's root"));
    }
    Ok(hashes)
}

fn damaged(what: &str) -> CallError {
    CallError::Tree(TreeReadError::Damaged(what.to_owned()))
}
