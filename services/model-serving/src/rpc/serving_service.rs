//! `ailayer.serving.v1.ServingService`: each method in its own file.

use ailayer_proto::ailayer::serving::v1::serving_service_server::ServingService;
use ailayer_proto::ailayer::serving::v1::{
    EmbedRequest, EmbedResponse, ListModelsRequest, ListModelsResponse, TokenizeRequest, TokenizeResponse,
};
use tonic::{Request, Response, Status};

use super::{Rpc, embed, list_models, tokenize};

#[tonic::async_trait]
impl ServingService for Rpc {
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
        tokenize::tokenize(self, request.into_inner()).await.map(Response::new)
    }

    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        embed::embed(self, request.into_inner()).await.map(Response::new)
    }
}
