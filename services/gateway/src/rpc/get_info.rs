//! `GetInfo`: the seller's keys, network and node.

use ailayer_platform::convert::network_to_proto;
use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::{Answer, Gateway};
use crate::audit_log::LogError;
use crate::error::call_failure;

pub(super) async fn get_info(gateway: &Gateway) -> Answer<pb::GetInfoResponse> {
    let (node, log_key) = tokio::join!(gateway.payments.node(), gateway.log.key());
    let node = node.map_err(|error| call_failure("payment", error))?;
    let log_key = log_key.map_err(|error| match error {
        LogError::Call(error) => call_failure("audit", error),
        error => Failure::internal(error),
    })?;
    Ok(pb::GetInfoResponse {
        network: network_to_proto(gateway.quotes.settings.network) as i32,
        gateway_key: gateway.keys.public_key().to_string(),
        log_verification_key: log_key.to_string(),
        node_id: node.node_id.to_vec(),
        node_addresses: node.listening_addresses,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
