//! A model server whose model does nothing: a neighbour that costs what a server costs, or what is behind a hop that is measured.

use ailayer_proto::ailayer::serving::v1 as pb;
use futures::stream::{Empty, empty};
use pb::serving_service_server::{ServingService, ServingServiceServer};
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};

/// The one model it has, under the name of the real one.
pub const MODEL: &str = "all-minilm-l6-v2";
/// What each text is said to have: the least that texts of any length may have.
pub const TOKENS: u32 = 1;

/// Answers at once, every text with the same vector of length 1.
#[derive(Debug, Clone)]
pub struct Null {
    model: pb::Model,
    values: Vec<f32>,
}

impl Null {
    /// A model of so many dimensions.
    pub fn new(dimensions: u32) -> Self {
        let first_of_all = (0..dimensions).map(|at| if at == 0 { 1.0 } else { 0.0 });
        let model = pb::Model {
            name: MODEL.to_owned(),
            version: "1".to_owned(),
            digest: vec![0; 32],
            kind: "embedding".to_owned(),
            execution_provider: "none".to_owned(),
            max_input_tokens: 512,
            dimensions,
            max_items: 64,
            max_text_bytes: 64 * 1024,
            inputs: Vec::new(),
            outputs: Vec::new(),
        };
        Self { model, values: first_of_all.collect() }
    }

    /// The gRPC service.
    pub fn routes(self) -> Routes {
        Routes::new(ServingServiceServer::new(self))
    }

    fn embedding(&self) -> pb::Embedding {
        pb::Embedding { values: self.values.clone(), input_tokens: TOKENS, ..Default::default() }
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ServingService for Null {
    type TokenizeStreamStream = Empty<Result<pb::TokenizeStreamResponse, Status>>;
    type EmbedStreamStream = Empty<Result<pb::EmbedStreamResponse, Status>>;

    async fn list_models(&self, _: Request<pb::ListModelsRequest>) -> Answer<pb::ListModelsResponse> {
        Ok(Response::new(pb::ListModelsResponse { models: vec![self.model.clone()] }))
    }

    async fn tokenize(&self, request: Request<pb::TokenizeRequest>) -> Answer<pb::TokenizeResponse> {
        let token_counts = request.get_ref().texts.iter().map(|_| TOKENS).collect();
        let model = Some(self.model.clone());
        Ok(Response::new(pb::TokenizeResponse { model, token_counts, ..Default::default() }))
    }

    async fn embed(&self, request: Request<pb::EmbedRequest>) -> Answer<pb::EmbedResponse> {
        let embeddings: Vec<_> = request.get_ref().texts.iter().map(|_| self.embedding()).collect();
        let input_tokens = u64::from(TOKENS) * u64::try_from(embeddings.len()).unwrap_or(u64::MAX);
        let model = Some(self.model.clone());
        Ok(Response::new(pb::EmbedResponse { model, embeddings, input_tokens, ..Default::default() }))
    }

    async fn tokenize_stream(
        &self,
        _: Request<Streaming<pb::TokenizeStreamRequest>>,
    ) -> Answer<Self::TokenizeStreamStream> {
        Ok(Response::new(empty()))
    }

    async fn embed_stream(
        &self,
        _: Request<Streaming<pb::EmbedStreamRequest>>,
    ) -> Answer<Self::EmbedStreamStream> {
        Ok(Response::new(empty()))
    }
}
