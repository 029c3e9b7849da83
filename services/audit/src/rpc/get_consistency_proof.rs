//! Proves that a tree is a prefix of a larger one.

use ailayer_proto::ailayer::audit::v1 as pb;

use super::{AuditRpc, convert};
use crate::error::CallError;
use crate::tree;

pub(super) async fn handle(
    rpc: &AuditRpc,
    request: pb::GetConsistencyProofRequest,
) -> Result<pb::GetConsistencyProofResponse, CallError> {
    let pb::GetConsistencyProofRequest { old_size, new_size } = request;
    if new_size > rpc.head.borrow().tree_size {
        return Err(CallError::OutsideLog { field: "new_size", rule: "must be within the log" });
    }
    if old_size > new_size {
        return Err(CallError::OutsideLog { field: "old_size", rule: "must not be above new_size" });
    }
    let hashes = tree::consistency_proof(&rpc.store, old_size, new_size).await?;
    Ok(pb::GetConsistencyProofResponse { hashes: convert::hashes(&hashes) })
}
