//! Domain types as they travel.

use ailayer_proto::ailayer::audit::v1 as pb;
use ailayer_proto::ailayer::common::v1 as common;
use ailayer_tlog::NodeHash;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;

use crate::domain::anchor::{Anchor, Attempt, Inclusion};
use crate::domain::spv::BlockRef;
use crate::error::CallError;

/// A leaf hash that arrived.
pub(super) fn leaf_hash(bytes: &[u8], field: &'static str) -> Result<NodeHash, CallError> {
    NodeHash::try_from(bytes).map_err(|_| CallError::Field { field, rule: "must be 32 bytes" })
}

/// Hashes of a proof.
pub(super) fn hashes(hashes: &[NodeHash]) -> Vec<Vec<u8>> {
    hashes.iter().map(|hash| hash.as_bytes().to_vec()).collect()
}

/// An anchor with the note it anchors: the attempt that was mined, or the newest.
pub(super) fn anchor(anchor: &Anchor, checkpoint: String, tip: Option<BlockRef>) -> Option<pb::Anchor> {
    let inclusion = anchor.inclusion.as_ref();
    let mined = |attempt: &&Attempt| inclusion.is_some_and(|inclusion| inclusion.txid == attempt.txid);
    let attempt = anchor.attempts.iter().find(mined).or(anchor.attempts.last())?;
    Some(pb::Anchor {
        checkpoint,
        tree_size: anchor.tree_size,
        txid: attempt.txid.to_byte_array().to_vec(),
        raw: encode::serialize(&attempt.transaction),
        vout: attempt.vout,
        block: inclusion.map(|inclusion| block_ref(inclusion.block)),
        merkle_branch: inclusion.map(merkle_branch),
        confirmations: inclusion.map_or(0, |inclusion| confirmations(inclusion, tip)),
    })
}

fn block_ref(block: BlockRef) -> common::BlockRef {
    common::BlockRef { block_hash: block.block_hash.to_byte_array().to_vec(), height: block.height }
}

fn merkle_branch(inclusion: &Inclusion) -> common::MerkleBranch {
    let siblings = inclusion.branch.siblings.iter().map(|hash| hash.to_vec()).collect();
    common::MerkleBranch { position: inclusion.branch.position, siblings }
}

/// As the tip shows it, and never less than the stored headers prove.
fn confirmations(inclusion: &Inclusion, tip: Option<BlockRef>) -> u32 {
    let proved = u32::try_from(inclusion.headers.len()).unwrap_or(u32::MAX);
    let by_tip = tip.map_or(0, |tip| tip.height.saturating_add(1).saturating_sub(inclusion.block.height));
    proved.max(by_tip)
}
