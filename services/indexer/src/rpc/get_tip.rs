//! Tells the newest block.

use ailayer_platform::convert::network_to_proto;
use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_proto::ailayer::indexer::v1 as pb;

use super::{IndexerRpc, convert};
use crate::sync::SyncState;

/// Before a first block is stored there is no tip to tell: NOT_SYNCED.
pub(super) async fn handle(rpc: &IndexerRpc) -> Result<pb::GetTipResponse, Failure> {
    // Read first: a state that is newer than the tip could call an old tip synced.
    let synced = rpc.sync.state() == SyncState::Synced;
    let tip = rpc.store.tip().await?;
    let tip = tip.ok_or_else(|| Failure::new(ErrorReason::NotSynced, "the chain is empty so far"))?;
    Ok(pb::GetTipResponse {
        tip: Some(convert::block_ref(tip.block_ref())),
        network: network_to_proto(rpc.network).into(),
        tip_time_unix_s: tip.header.time,
        synced,
    })
}
