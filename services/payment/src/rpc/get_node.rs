//! `GetNode`.

use ailayer_platform::error::Failure;
use ailayer_platform::{clock, convert::network_to_proto};
use ailayer_proto::ailayer::common::v1::BlockRef;
use ailayer_proto::ailayer::payment::v1::GetNodeResponse;
use bitcoin::hashes::Hash as _;

use crate::app::App;
use crate::error::ServiceError;

pub(super) async fn handle(app: &App) -> Result<GetNodeResponse, Failure> {
    let channels = app.channels.list().await?;
    let usable = || channels.iter().filter(|channel| channel.usable);
    let inbound = usable().map(|channel| channel.inbound_capacity.msat()).fold(0, u64::saturating_add);
    let usable = u32::try_from(usable().count()).unwrap_or(u32::MAX);
    let accepted = app.holds.counts().await?.accepted;
    let status = app.node.status();
    let synced = app.gate.check(&status, clock::now_s());
    if let Err(error @ ServiceError::Store(_)) = synced {
        return Err(error.into());
    }
    Ok(GetNodeResponse {
        node_id: app.node.node_id().serialize().to_vec(),
        network: network_to_proto(app.network).into(),
        listening_addresses: app.node.listening_addresses(),
        tip: Some(BlockRef {
            block_hash: status.tip.block_hash.to_byte_array().to_vec(),
            height: status.tip.height,
        }),
        synced: synced.is_ok(),
        usable_channels: usable,
        inbound_capacity_msat: inbound,
        accepted_holds: accepted,
        max_accepted_holds: app.holds.max_accepted(usable),
    })
}
