//! The two gRPC services. Protobuf types stay in this folder.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::error::Failure;
use ailayer_platform::health::Health;
use ailayer_proto::ailayer::serving::v1::serving_service_server::ServingServiceServer;
use ailayer_proto::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::service::{LayerExt as _, Routes};

use crate::catalog::Catalog;
use crate::error::ServeError;
use crate::model::Model;
use crate::ports::RepositoryControl;
use crate::telemetry::Metrics;
use request_bytes::{Budget, RequestBytesLayer};

mod call_context;
mod call_stream;
mod convert;
mod embed;
mod inference_service;
mod list_models;
mod model_config;
mod model_infer;
mod model_metadata;
mod model_statistics;
mod model_stream_infer;
mod repository_index;
mod repository_model_load;
mod repository_model_unload;
mod request_bytes;
mod serving_service;
mod tokenize;

/// The names that health is reported for.
pub const SERVICE_NAMES: [&str; 2] = ["ailayer.serving.v1.ServingService", "inference.GRPCInferenceService"];

/// What requests may weigh, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct MessageLimits {
    /// One message of the Open Inference Protocol, unpacked.
    pub inference_bytes: usize,
    /// One message of `ailayer.serving.v1`.
    pub serving_bytes: usize,
    /// All requests that are being received or worked on.
    pub in_flight_bytes: usize,
    /// The longest that a message which has begun may take to come.
    pub message_time: Duration,
}

/// What every method needs. Clones share it.
#[derive(Clone)]
pub struct Rpc(Arc<Shared>);

struct Shared {
    catalog: Arc<Catalog>,
    control: Arc<dyn RepositoryControl>,
    health: Health,
    metrics: Metrics,
}

impl Rpc {
    /// Handlers over a catalog; `control` loads and unloads.
    pub fn new(
        catalog: Arc<Catalog>,
        control: Arc<dyn RepositoryControl>,
        health: Health,
        metrics: Metrics,
    ) -> Self {
        Self(Arc::new(Shared { catalog, control, health, metrics }))
    }

    /// Both services. Answers are not compressed; requests may be, within the limit once unpacked.
    pub fn routes(self, limits: MessageLimits) -> Routes {
        let MessageLimits { inference_bytes, serving_bytes, in_flight_bytes, message_time } = limits;
        let budget = Arc::new(Budget::new(in_flight_bytes));
        let counted = |max_message_bytes| RequestBytesLayer {
            budget: Arc::clone(&budget),
            max_message_bytes,
            message_time,
        };
        let inference = GrpcInferenceServiceServer::new(self.clone())
            .max_decoding_message_size(inference_bytes)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Deflate);
        let serving = ServingServiceServer::new(self).max_decoding_message_size(serving_bytes);
        Routes::new(counted(inference_bytes).named_layer(inference))
            .add_service(counted(serving_bytes).named_layer(serving))
    }

    fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    fn control(&self) -> &dyn RepositoryControl {
        self.0.control.as_ref()
    }

    fn health(&self) -> &Health {
        &self.0.health
    }

    /// Finds the model, has it do the work, and measures the call whatever comes of it.
    async fn with_model<T>(
        &self,
        method: &'static str,
        name: &str,
        version: &str,
        work: impl AsyncFnOnce(&Model) -> Result<T, ServeError>,
    ) -> Result<T, Status> {
        let (label, outcome) = match self.catalog().resolve(name, version) {
            Ok(model) => (model.info().id.name.clone(), work(&model).await),
            Err(error) => ("unknown".to_owned(), Err(error)),
        };
        let outcome = outcome.map_err(Failure::from);
        let reason = outcome.as_ref().err().map_or("OK", |failure| failure.reason().as_str_name());
        self.0.metrics.request(&label, method, reason);
        outcome.map_err(Status::from)
    }

    fn measure_tokens(&self, model: &Model, tokens: u64) {
        self.0.metrics.tokens(&model.info().id.name, tokens);
    }
}
