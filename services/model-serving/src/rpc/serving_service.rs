//! `ailayer.serving.v1.ServingService`: each method in its own file.

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::serving::v1::serving_service_server::ServingService;
use ailayer_proto::ailayer::serving::v1::{
    EmbedRequest, EmbedResponse, EmbedStreamRequest, EmbedStreamResponse, ListModelsRequest,
    ListModelsResponse, TokenizeRequest, TokenizeResponse, TokenizeStreamRequest, TokenizeStreamResponse,
};
use tonic::{Request, Response, Status, Streaming};

use super::call_stream::Answers;
use super::{Rpc, call_context, embed, list_models, tokenize};

#[tonic::async_trait]
impl ServingService for Rpc {
    type TokenizeStreamStream = Answers<TokenizeStreamResponse>;
    type EmbedStreamStream = Answers<EmbedStreamResponse>;

    async fn list_models(
        &self,
        _: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        Ok(Response::new(list_models::list_models(self)))
    }

    async fn tokenize(
        &self,
        request: Request<TokenizeRequest>,
    ) -> Result<Response<TokenizeResponse>, Status> {
        tokenize::tokenize(self, "Tokenize", request.into_inner()).await.map(Response::new)
    }

    async fn tokenize_stream(
        &self,
        request: Request<Streaming<TokenizeStreamRequest>>,
    ) -> Result<Response<Self::TokenizeStreamStream>, Status> {
        tokenize::tokenize_stream(self.clone(), request).map(Response::new)
    }

    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        let context = call_context::from_headers(request.metadata()).map_err(Failure::from)?;
        embed::embed(self, "Embed", request.into_inner(), &context).await.map(Response::new)
    }

    async fn embed_stream(
        &self,
        request: Request<Streaming<EmbedStreamRequest>>,
    ) -> Result<Response<Self::EmbedStreamStream>, Status> {
        embed::embed_stream(self.clone(), request).map(Response::new)
    }
}
