//! Prices: set, forgotten, listed.

use ailayer_platform::error::Failure;
use ailayer_primitives::AmountMsat;
use ailayer_proto::ailayer::gateway::v1 as pb;

use crate::domain::price::Price;
use crate::prices::InForce;
use crate::rpc::{Answer, Gateway};

/// The longest name of a model, as statements bound it.
const MAX_NAME_BYTES: usize = ailayer_receipt::statement::MAX_TEXT_BYTES;

pub(super) async fn set(
    gateway: &Gateway,
    operator: &str,
    request: pb::SetPriceRequest,
) -> Answer<pb::SetPriceResponse> {
    let asked = request.price.ok_or_else(|| Failure::invalid_field("price", "must be there"))?;
    let name = model_name(&asked.model_name)?;
    let amount = |field: &str, msat| {
        AmountMsat::try_new(msat)
            .map_err(|_| Failure::invalid_field(&format!("price.{field}"), "is more than all bitcoin"))
    };
    let price = Price {
        per_call: amount("per_call_msat", asked.per_call_msat)?,
        per_token: amount("per_token_msat", asked.per_token_msat)?,
        per_tensor_byte: amount("per_tensor_byte_msat", asked.per_tensor_byte_msat)?,
    };
    if price.is_zero() {
        return Err(Failure::invalid_field("price", "a price of zero cannot be invoiced"));
    }
    gateway.quotes.prices.set(name, &price).await?;
    tracing::warn!(model = name, ?price, operator, "a price was set");
    Ok(pb::SetPriceResponse { price: in_force(gateway, name).await? })
}

pub(super) async fn remove(
    gateway: &Gateway,
    operator: &str,
    request: pb::RemovePriceRequest,
) -> Answer<pb::RemovePriceResponse> {
    let name = model_name(&request.model_name)?;
    gateway.quotes.prices.remove(name).await?;
    tracing::warn!(model = name, operator, "a price was forgotten");
    Ok(pb::RemovePriceResponse { price: in_force(gateway, name).await? })
}

pub(super) async fn list(
    gateway: &Gateway,
    _operator: &str,
    _request: pb::ListPricesRequest,
) -> Answer<pb::ListPricesResponse> {
    let all = gateway.quotes.prices.all().await?;
    Ok(pb::ListPricesResponse { prices: all.iter().map(|(name, price)| to_proto(name, price)).collect() })
}

async fn in_force(gateway: &Gateway, name: &str) -> Answer<Option<pb::Price>> {
    let all = gateway.quotes.prices.all().await?;
    Ok(all.get(name).map(|price| to_proto(name, price)))
}

fn model_name(name: &str) -> Result<&str, Failure> {
    let sound = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    if sound { Ok(name) } else { Err(Failure::invalid_field("model_name", "must name a model")) }
}

fn to_proto(name: &str, in_force: &InForce) -> pb::Price {
    pb::Price {
        model_name: name.to_owned(),
        per_call_msat: in_force.price.per_call.msat(),
        per_token_msat: in_force.price.per_token.msat(),
        per_tensor_byte_msat: in_force.price.per_tensor_byte.msat(),
        set: in_force.set,
    }
}
