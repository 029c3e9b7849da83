//! `ailayer channel open|list`: the operator's channels.

use ailayer_client::payment::OpenChannelRequest;
use ailayer_client::{ClientConfig, PaymentClient};
use serde_json::json;
use uuid::Uuid;

use crate::args::{ChannelArgs, ChannelCommand};
use crate::exit::Failure;
use crate::output::Output;

/// Runs the subcommand against the payment service.
pub async fn run(args: ChannelArgs, out: &Output) -> Result<(), Failure> {
    match args.command {
        ChannelCommand::Open { payment, peer, amount_sat, push_msat, announce, request_id } => {
            let client = PaymentClient::new(&ClientConfig::new(payment))?;
            let request_id = request_id.map_or_else(Uuid::new_v4, |id| id.uuid()).to_string();
            out.progress(format_args!(
                "request id {request_id}: repeat it with --request-id if this is interrupted"
            ));
            let request = OpenChannelRequest {
                request_id: request_id.clone(),
                peer_node_id: peer.node_id.to_vec(),
                peer_address: peer.address,
                channel_amount_sat: amount_sat,
                push_amount_msat: push_msat,
                announce,
            };
            let channel = hex::encode(client.open_channel(request).await?);
            let text = format!(
                "channel {channel} is being opened: {amount_sat} sat, usable after its confirmations (`ailayer channel list`)"
            );
            out.result(&json!({ "user_channel_id": channel, "request_id": request_id }), text);
        }
        ChannelCommand::List { payment } => {
            let channels = PaymentClient::new(&ClientConfig::new(payment))?.list_channels().await?;
            let rows: Vec<_> = channels
                .iter()
                .map(|channel| {
                    json!({
                        "user_channel_id": hex::encode(&channel.user_channel_id),
                        "peer_node_id": hex::encode(&channel.peer_node_id),
                        "channel_amount_sat": channel.channel_amount_sat,
                        "outbound_capacity_msat": channel.outbound_capacity_msat,
                        "inbound_capacity_msat": channel.inbound_capacity_msat,
                        "ready": channel.ready,
                        "usable": channel.usable,
                        "announced": channel.announced,
                    })
                })
                .collect();
            let mut text = if channels.is_empty() { "no channels".to_owned() } else { String::new() };
            for channel in &channels {
                let state = if channel.usable {
                    "usable"
                } else if channel.ready {
                    "peer offline"
                } else {
                    "pending"
                };
                text.push_str(&format!(
                    "{}  {:>10} sat  out {:>12} msat  in {:>12} msat  {state}  peer {}\n",
                    hex::encode(&channel.user_channel_id),
                    channel.channel_amount_sat,
                    channel.outbound_capacity_msat,
                    channel.inbound_capacity_msat,
                    hex::encode(&channel.peer_node_id),
                ));
            }
            out.result(&rows, text.trim_end());
        }
    }
    Ok(())
}
