//! Between protobuf and the domain.

use ailayer_proto::ailayer::common::v1 as common;
use ailayer_proto::ailayer::indexer::v1 as pb;
use bitcoin::consensus::serialize;
use bitcoin::hashes::Hash as _;

use crate::domain::block::{BlockRef, ChainEvent};
use crate::domain::merkle::MerkleBranch;
use crate::store::LoggedEvent;
use crate::verifier::VerifiedTransaction;

pub(super) fn block_ref(block: BlockRef) -> common::BlockRef {
    common::BlockRef { block_hash: block.block_hash.to_byte_array().to_vec(), height: block.height }
}

fn merkle_branch(branch: &MerkleBranch) -> common::MerkleBranch {
    common::MerkleBranch {
        position: branch.position,
        siblings: branch.siblings.iter().map(|sibling| sibling.to_vec()).collect(),
    }
}

/// Confirmations are counted from the tip at which the proof was looked up; a block above it has none.
pub(super) fn transaction(verified: VerifiedTransaction, tip: BlockRef) -> pb::Transaction {
    let above = |proof: &crate::verifier::Proof| tip.height.checked_sub(proof.block.height);
    let proof = verified.proof.as_ref();
    pb::Transaction {
        txid: verified.fetched.txid.to_byte_array().to_vec(),
        raw: verified.fetched.raw.clone(),
        block: proof.map(|proof| block_ref(proof.block)),
        merkle_branch: proof.map(|proof| merkle_branch(&proof.branch)),
        confirmations: proof.and_then(above).map_or(0, |above| above.saturating_add(1)),
    }
}

pub(super) fn event(logged: &LoggedEvent) -> pb::WatchBlocksResponse {
    use pb::watch_blocks_response::Event;
    let event = match &logged.event {
        ChainEvent::Connected(block) => Event::Connected(pb::ConnectedBlock {
            block: Some(block_ref(block.block_ref())),
            header: serialize(&block.header),
        }),
        ChainEvent::Disconnected(block) => Event::Disconnected(block_ref(block.block_ref())),
    };
    pb::WatchBlocksResponse { cursor: logged.cursor, event: Some(event) }
}
