//! Appends an entry and answers with the log's signed promise, once it is durable.

use ailayer_proto::ailayer::audit::v1 as pb;

use super::AuditRpc;
use crate::domain::entry::Entry;
use crate::error::CallError;

pub(super) async fn handle(
    rpc: &AuditRpc,
    request: pb::AppendEntryRequest,
) -> Result<pb::AppendEntryResponse, CallError> {
    let entry = Entry::try_new(request.entry)?;
    let leaf_hash = entry.leaf_hash();
    let placement = rpc.sequencer.append(entry).await?;
    Ok(pb::AppendEntryResponse {
        leaf_index: placement.leaf_index,
        leaf_hash: leaf_hash.as_bytes().to_vec(),
        sequenced_unix_ms: placement.sequenced.0,
        duplicate: placement.duplicate,
        index_signature: placement.promise(leaf_hash).sign(&rpc.signer),
    })
}
