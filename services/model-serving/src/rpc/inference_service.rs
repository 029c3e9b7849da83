//! `inference.GRPCInferenceService`: the Open Inference Protocol with Triton's extensions, each method in its own file.

use ailayer_platform::error::Failure;
use ailayer_proto::inference::grpc_inference_service_server::GrpcInferenceService;
use ailayer_proto::inference::{
    ModelConfigRequest, ModelConfigResponse, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
    ModelMetadataResponse, ModelReadyRequest, ModelReadyResponse, ModelStatisticsRequest,
    ModelStatisticsResponse, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
    RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse,
    ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse,
};
use tonic::{Request, Response, Status, Streaming};

use super::{
    Rpc, call_context, model_config, model_infer, model_metadata, model_statistics, model_stream_infer,
    repository_index, repository_model_load, repository_model_unload,
};

/// What is offered beyond the standard, in Triton's words. What is not here is answered with UNIMPLEMENTED.
const EXTENSIONS: [&str; 6] = [
    "binary_tensor_data",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
];

#[tonic::async_trait]
impl GrpcInferenceService for Rpc {
    type ModelStreamInferStream = model_stream_infer::Answers;

    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: self.health().is_ready() }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        // An unknown model is not ready, which is an answer and no error: as Triton has it.
        let ModelReadyRequest { name, version } = request.into_inner();
        let ready = self.catalog().resolve(&name, &version).is_ok_and(|model| !model.is_broken());
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: format!("ailayer-{}", crate::NAME),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        model_metadata::model_metadata(self, request.into_inner()).await.map(Response::new)
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let context = call_context::from_headers(request.metadata()).map_err(Failure::from)?;
        model_infer::model_infer(self, "ModelInfer", request.into_inner(), &context).await.map(Response::new)
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        model_stream_infer::model_stream_infer(self.clone(), request).map(Response::new)
    }

    async fn model_config(
        &self,
        request: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        model_config::model_config(self, request.into_inner()).await.map(Response::new)
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        model_statistics::model_statistics(self, request.into_inner()).await.map(Response::new)
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        repository_index::repository_index(self, request.into_inner()).map(Response::new)
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        repository_model_load::repository_model_load(self, request.into_inner()).await.map(Response::new)
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        repository_model_unload::repository_model_unload(self, request.into_inner()).await.map(Response::new)
    }
}
