//! `Embed`.

use ailayer_proto::ailayer::serving::v1::{EmbedRequest, EmbedResponse, Embedding};
use tonic::Status;

use super::Rpc;
use super::convert::{count_to_proto, micros_to_proto, model_to_proto, truncation_from_proto};

pub(super) async fn embed(rpc: &Rpc, request: EmbedRequest) -> Result<EmbedResponse, Status> {
    let EmbedRequest { model_name, model_version, texts, truncation } = request;
    rpc.with_model("Embed", &model_name, &model_version, async |model| {
        let embedded = model.embed(texts, truncation_from_proto(truncation)?).await?;
        let embeddings: Vec<Embedding> = embedded
            .texts
            .into_iter()
            .map(|text| Embedding {
                values: text.values,
                input_tokens: count_to_proto(text.input_tokens),
                truncated: text.truncated,
            })
            .collect();
        let input_tokens = embeddings.iter().map(|text| u64::from(text.input_tokens)).sum();
        rpc.measure_tokens(model, input_tokens);
        Ok(EmbedResponse {
            model: Some(model_to_proto(model.info())),
            embeddings,
            input_tokens,
            queue_time_us: micros_to_proto(embedded.timing.queue_time),
            inference_time_us: micros_to_proto(embedded.timing.inference_time),
        })
    })
    .await
}
