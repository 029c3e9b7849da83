//! Fetches the newest signed checkpoint.

use ailayer_proto::ailayer::audit::v1 as pb;

use super::AuditRpc;

pub(super) fn handle(rpc: &AuditRpc) -> pb::GetCheckpointResponse {
    let newest = rpc.published.borrow();
    pb::GetCheckpointResponse { checkpoint: newest.note.clone(), tree_size: newest.tree_size }
}
