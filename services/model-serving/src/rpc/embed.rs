//! `Embed` and `EmbedStream`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::serving::v1::embed_stream_response::Outcome;
use ailayer_proto::ailayer::serving::v1::{
    EmbedRequest, EmbedResponse, EmbedStreamRequest, EmbedStreamResponse, Embedding,
};
use tonic::{Request, Status, Streaming};

use super::Rpc;
use super::call_context::StreamContext;
use super::call_stream::{self, Answers, required, within_deadline};
use super::convert::{
    count_from_proto, count_to_proto, message_error_to_proto, micros_to_proto, model_to_proto,
    truncation_from_proto,
};
use crate::domain::call::CallContext;
use crate::domain::embedding::VectorForm;

/// Embeds the texts of one request, of a call or of a stream; `method` is which. `context` is what the headers say.
pub(super) async fn embed(
    rpc: &Rpc,
    method: &'static str,
    request: EmbedRequest,
    context: &CallContext,
) -> Result<EmbedResponse, Status> {
    let EmbedRequest { model_name, model_version, texts, truncation, normalize, dimensions } = request;
    rpc.with_model(method, &model_name, &model_version, async |model| {
        let form = VectorForm { normalize, dimensions: dimensions.map(count_from_proto) };
        let embedded = model.embed(texts, truncation_from_proto(truncation)?, form, context).await?;
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

pub(super) fn embed_stream(
    rpc: Rpc,
    request: Request<Streaming<EmbedStreamRequest>>,
) -> Result<Answers<EmbedStreamResponse>, Status> {
    let context = StreamContext::try_new(request.metadata()).map_err(Failure::from)?;
    let charges = call_stream::charges(&request);
    Ok(call_stream::answers(request.into_inner(), charges, move |message: EmbedStreamRequest| {
        let (rpc, context) = (rpc.clone(), context.clone());
        async move {
            let EmbedStreamRequest { id, request } = message;
            let work = within_deadline(&context, async |context| {
                embed(&rpc, "EmbedStream", required(request)?, context).await
            });
            let outcome = match work.await {
                Ok(response) => Outcome::Response(response),
                Err(status) => Outcome::Error(message_error_to_proto(&status)),
            };
            Ok(EmbedStreamResponse { id, outcome: Some(outcome) })
        }
    }))
}
