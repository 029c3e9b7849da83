//! `ListModels`: what is loaded and has a price.

use ailayer_client::serving::Model;
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::{Answer, Gateway};
use crate::domain::price::Price;
use crate::error::call_failure;
use crate::quotes::QuoteSettings;

/// What model serving calls models that embed texts; the only kind sold so far.
const EMBEDDING: &str = "embedding";

pub(super) async fn list_models(gateway: &Gateway) -> Answer<pb::ListModelsResponse> {
    let models = gateway.serving.list_models().await.map_err(|error| call_failure("model-serving", error))?;
    let settings = &gateway.quotes.settings;
    let prices = gateway.quotes.prices.all().await?;
    let offers = models.into_iter().filter(|model| model.kind == EMBEDDING).filter_map(|model| {
        let in_force = prices.get(&model.name)?;
        Some(offer(model, &in_force.price, settings))
    });
    Ok(pb::ListModelsResponse { models: offers.collect() })
}

fn offer(model: Model, price: &Price, settings: &QuoteSettings) -> pb::ModelOffer {
    pb::ModelOffer {
        name: model.name,
        version: model.version,
        digest: model.digest.to_vec(),
        kind: model.kind,
        price_per_call_msat: price.per_call.msat(),
        price_per_token_msat: price.per_token.msat(),
        max_input_tokens: model.max_input_tokens,
        max_items: model.max_items.min(settings.limits.max_items),
        max_text_bytes: model.max_text_bytes.min(settings.limits.max_text_bytes),
        dimensions: model.dimensions,
    }
}
