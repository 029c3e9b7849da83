//! `OpenChannel`.

use ailayer_platform::error::Failure;
use ailayer_primitives::{AmountMsat, AmountSat, RequestId};
use ailayer_proto::ailayer::payment::v1::{OpenChannelRequest, OpenChannelResponse};

use super::convert;
use crate::app::App;
use crate::domain::channel::ChannelOrder;

/// A host name has at most 253 characters; a port five.
const MAX_ADDRESS_BYTES: usize = 260;

pub(super) async fn handle(app: &App, request: OpenChannelRequest) -> Result<OpenChannelResponse, Failure> {
    let request_id: RequestId = request
        .request_id
        .parse()
        .map_err(|error| Failure::invalid_field("request_id", format!("{error}")))?;
    let order = order(request)?;
    let channel = app.channels.open(request_id, &order).await?;
    Ok(OpenChannelResponse { user_channel_id: channel.to_bytes().to_vec() })
}

fn order(request: OpenChannelRequest) -> Result<ChannelOrder, Failure> {
    let amount = AmountSat::try_new(request.channel_amount_sat)
        .map_err(|error| Failure::invalid_field("channel_amount_sat", error.to_string()))?;
    let push = AmountMsat::try_new(request.push_amount_msat)
        .map_err(|error| Failure::invalid_field("push_amount_msat", error.to_string()))?;
    if amount == AmountSat::ZERO {
        return Err(Failure::invalid_field("channel_amount_sat", "must not be zero"));
    }
    if push >= amount.to_msat() {
        return Err(Failure::invalid_field("push_amount_msat", "must be less than the channel's size"));
    }
    if request.peer_address.is_empty() || request.peer_address.len() > MAX_ADDRESS_BYTES {
        return Err(Failure::invalid_field("peer_address", "must be host:port, at most 260 characters"));
    }
    Ok(ChannelOrder {
        peer_node_id: convert::node_id("peer_node_id", &request.peer_node_id)?,
        peer_address: request.peer_address,
        amount,
        push,
        announce: request.announce,
    })
}
