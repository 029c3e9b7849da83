//! `Tokenize` and `TokenizeStream`.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::serving::v1::tokenize_stream_response::Outcome;
use ailayer_proto::ailayer::serving::v1::{
    TextTokens, TokenizeRequest, TokenizeResponse, TokenizeStreamRequest, TokenizeStreamResponse,
};
use tonic::{Request, Status, Streaming};

use super::Rpc;
use super::call_context::StreamContext;
use super::call_stream::{self, Answers, required, within_deadline};
use super::convert::{count_to_proto, message_error_to_proto, model_to_proto, truncation_from_proto};
use crate::domain::text::EncodedText;

/// Counts the tokens of one request, of a call or of a stream; `method` is which.
pub(super) async fn tokenize(
    rpc: &Rpc,
    method: &'static str,
    request: TokenizeRequest,
) -> Result<TokenizeResponse, Status> {
    let TokenizeRequest { model_name, model_version, texts, truncation, include_tokens } = request;
    rpc.with_model(method, &model_name, &model_version, async |model| {
        let truncation = truncation_from_proto(truncation)?;
        let encoded = match include_tokens {
            true => model.list_tokens(texts, truncation).await?,
            false => model.tokenize(texts, truncation).await?,
        };
        Ok(TokenizeResponse {
            model: Some(model_to_proto(model.info())),
            token_counts: encoded.iter().map(|text| count_to_proto(text.ids.len())).collect(),
            truncated: encoded.iter().map(|text| text.truncated).collect(),
            tokens: if include_tokens { encoded.into_iter().map(tokens).collect() } else { Vec::new() },
        })
    })
    .await
}

fn tokens(text: EncodedText) -> TextTokens {
    let (starts, ends) =
        text.offsets.iter().map(|(start, end)| (count_to_proto(*start), count_to_proto(*end))).unzip();
    TextTokens { ids: text.ids, starts, ends }
}

pub(super) fn tokenize_stream(
    rpc: Rpc,
    request: Request<Streaming<TokenizeStreamRequest>>,
) -> Result<Answers<TokenizeStreamResponse>, Status> {
    let context = StreamContext::try_new(request.metadata()).map_err(Failure::from)?;
    let charges = call_stream::charges(&request);
    Ok(call_stream::answers(request.into_inner(), charges, move |message: TokenizeStreamRequest| {
        let (rpc, context) = (rpc.clone(), context.clone());
        async move {
            let TokenizeStreamRequest { id, request } = message;
            let work = within_deadline(&context, async |_| {
                tokenize(&rpc, "TokenizeStream", required(request)?).await
            });
            let outcome = match work.await {
                Ok(response) => Outcome::Response(response),
                Err(status) => Outcome::Error(message_error_to_proto(&status)),
            };
            Ok(TokenizeStreamResponse { id, outcome: Some(outcome) })
        }
    }))
}
