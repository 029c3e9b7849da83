//! `Tokenize`.

use ailayer_proto::ailayer::serving::v1::{TokenizeRequest, TokenizeResponse};
use tonic::Status;

use super::Rpc;
use super::convert::{count_to_proto, model_to_proto, truncation_from_proto};

pub(super) async fn tokenize(rpc: &Rpc, request: TokenizeRequest) -> Result<TokenizeResponse, Status> {
    let TokenizeRequest { model_name, model_version, texts, truncation } = request;
    rpc.with_model("Tokenize", &model_name, &model_version, async |model| {
        let encoded = model.tokenize(texts, truncation_from_proto(truncation)?).await?;
        Ok(TokenizeResponse {
            model: Some(model_to_proto(model.info())),
            token_counts: encoded.iter().map(|text| count_to_proto(text.ids.len())).collect(),
        })
    })
    .await
}
