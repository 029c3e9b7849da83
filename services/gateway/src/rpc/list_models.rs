//! `ListModels`: what is loaded and has a price.

use ailayer_client::serving::Model;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::tensor::TensorSpec;

use super::{Answer, Gateway};
use crate::domain::price::Price;
use crate::error::call_failure;
use crate::quotes::QuoteSettings;

pub(super) async fn list_models(gateway: &Gateway) -> Answer<pb::ListModelsResponse> {
    let models = gateway.serving.list_models().await.map_err(|error| call_failure("model-serving", error))?;
    let settings = &gateway.quotes.settings;
    let prices = gateway.quotes.prices.all().await?;
    let offers = models.into_iter().filter(is_sold).filter_map(|model| {
        let in_force = prices.get(&model.name)?;
        Some(offer(model, &in_force.price, settings))
    });
    Ok(pb::ListModelsResponse { models: offers.collect() })
}

/// Models that embed texts, and those that say which tensors they take.
fn is_sold(model: &Model) -> bool {
    match model.kind.as_str() {
        "embedding" => true,
        "tensor" => !model.inputs.is_empty(),
        _ => false,
    }
}

fn offer(model: Model, price: &Price, settings: &QuoteSettings) -> pb::ModelOffer {
    pb::ModelOffer {
        name: model.name,
        version: model.version,
        digest: model.digest.to_vec(),
        kind: model.kind,
        price_per_call_msat: price.per_call.msat(),
        price_per_token_msat: price.per_token.msat(),
        price_per_tensor_byte_msat: price.per_tensor_byte.msat(),
        max_input_tokens: model.max_input_tokens,
        // Model serving names no limit of tensors.
        max_items: match model.max_items {
            0 => settings.limits.max_items,
            most => most.min(settings.limits.max_items),
        },
        max_text_bytes: model.max_text_bytes.min(settings.limits.max_text_bytes),
        dimensions: model.dimensions,
        inputs: specs(model.inputs),
        outputs: specs(model.outputs),
    }
}

fn specs(specs: Vec<TensorSpec>) -> Vec<pb::TensorSpec> {
    let any = |side: Option<u64>| side.and_then(|side| i64::try_from(side).ok()).unwrap_or(-1);
    let spec = |spec: TensorSpec| pb::TensorSpec {
        name: spec.name,
        datatype: spec.datatype,
        shape: spec.shape.into_iter().map(any).collect(),
    };
    specs.into_iter().map(spec).collect()
}
