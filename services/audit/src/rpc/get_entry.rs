//! Fetches an entry by index or leaf hash.

use ailayer_proto::ailayer::audit::v1 as pb;
use ailayer_proto::ailayer::audit::v1::get_entry_request::Name;

use super::{AuditRpc, convert};
use crate::error::CallError;
use crate::store::entry;

pub(super) async fn handle(
    rpc: &AuditRpc,
    request: pb::GetEntryRequest,
) -> Result<pb::GetEntryResponse, CallError> {
    let pool = rpc.store.pool();
    let name = request.name.ok_or(CallError::Field { field: "name", rule: "must be set" })?;
    let found = match name {
        Name::LeafIndex(index) => entry::by_index(pool, index).await?,
        Name::LeafHash(hash) => entry::by_leaf_hash(pool, convert::leaf_hash(&hash, "leaf_hash")?).await?,
    };
    let found = found.ok_or(CallError::EntryNotFound)?;
    Ok(pb::GetEntryResponse {
        leaf_index: found.leaf_index,
        entry: found.bytes,
        sequenced_unix_ms: found.sequenced.0,
    })
}
