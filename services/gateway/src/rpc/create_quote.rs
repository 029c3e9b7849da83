//! `CreateQuote`: an order in, a signed quote with its hold invoice out.

use std::net::IpAddr;

use ailayer_platform::convert::network_from_proto;
use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::{Answer, Gateway};
use crate::domain::order::{EmbedInput, Order};

pub(super) async fn create_quote(
    gateway: &Gateway,
    payer: Option<IpAddr>,
    request: pb::CreateQuoteRequest,
) -> Answer<pb::CreateQuoteResponse> {
    let payer = payer.map(|address| gateway.quotes.admission.payer(address));
    let quoted = gateway.quotes.create(&order(request)?, payer).await?;
    Ok(pb::CreateQuoteResponse {
        job_id: quoted.job_id.to_string(),
        job_token: quoted.token.expose().to_vec(),
        quote: quoted.quote,
        price_msat: quoted.price.msat(),
        input_tokens: quoted.input_tokens,
        bolt11: quoted.bolt11,
        payment_hash: quoted.payment_hash.0.to_vec(),
        expiry_unix_s: quoted.expiry.0,
    })
}

fn order(request: pb::CreateQuoteRequest) -> Result<Order, Failure> {
    let request_id = request.request_id.parse();
    let request_id =
        request_id.map_err(|_| Failure::invalid_field("request_id", "must be a random UUID (version 4)"))?;
    let network = network_from_proto(request.network);
    let network =
        network.ok_or_else(|| Failure::invalid_field("network", "must name the network you pay on"))?;
    let Some(pb::create_quote_request::Task::Embed(embed)) = request.task else {
        return Err(Failure::invalid_field("task", "must say what to do"));
    };
    Ok(Order {
        request_id,
        model_name: request.model_name,
        model_version: request.model_version,
        input: EmbedInput { texts: embed.texts, truncate: embed.truncate },
        network,
    })
}
