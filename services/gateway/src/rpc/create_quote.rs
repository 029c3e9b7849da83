//! `CreateQuote`: an order in, a signed quote with its hold invoice out.

use std::net::IpAddr;

use ailayer_platform::convert::network_from_proto;
use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_seal::PublicKey;

use super::{Answer, Gateway, convert};
use crate::domain::order::Order;

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
        input_tokens: quoted.usage.input_tokens,
        tensor_bytes: quoted.usage.tensor_bytes,
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
    let input = match request.task {
        Some(pb::create_quote_request::Task::Embed(embed)) => convert::embed_input(embed),
        Some(pb::create_quote_request::Task::Infer(infer)) => convert::infer_input(infer)?,
        None => return Err(Failure::invalid_field("task", "must say what to do")),
    };
    let sealed_to = match request.sealed_to.as_slice() {
        [] => None,
        bytes => Some(
            PublicKey::try_from(bytes)
                .map_err(|error| Failure::invalid_field("sealed_to", error.to_string()))?,
        ),
    };
    Ok(Order {
        request_id,
        model_name: request.model_name,
        model_version: request.model_version,
        input,
        network,
        sealed_to,
    })
}
