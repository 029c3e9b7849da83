//! Proves that an entry is in the tree of a given size.

use ailayer_proto::ailayer::audit::v1 as pb;

use super::{AuditRpc, convert};
use crate::error::CallError;
use crate::tree;

pub(super) async fn handle(
    rpc: &AuditRpc,
    request: pb::GetInclusionProofRequest,
) -> Result<pb::GetInclusionProofResponse, CallError> {
    let pb::GetInclusionProofRequest { leaf_index, tree_size } = request;
    if tree_size > rpc.head.borrow().tree_size {
        return Err(CallError::OutsideLog { field: "tree_size", rule: "must be within the log" });
    }
    if leaf_index >= tree_size {
        return Err(CallError::OutsideLog { field: "leaf_index", rule: "must be below tree_size" });
    }
    let (hashes, _) = tree::inclusion_proof(&rpc.store, leaf_index, tree_size).await?;
    Ok(pb::GetInclusionProofResponse { hashes: convert::hashes(&hashes) })
}
