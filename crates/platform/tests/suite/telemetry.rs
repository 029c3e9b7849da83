//! A call through two services is one trace at the collector, and its metrics arrive.
//!
//! One test: telemetry is started once a process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ailayer_platform::client::{ClientConfig, channel};
use ailayer_platform::config::{PlatformConfig, TelemetryConfig};
use ailayer_platform::health::Health;
use ailayer_platform::server::Server;
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_platform::telemetry;
use ailayer_proto::ailayer::serving::v1::serving_service_client::ServingServiceClient;
use ailayer_proto::ailayer::serving::v1::serving_service_server::{ServingService, ServingServiceServer};
use ailayer_proto::ailayer::serving::v1::{
    EmbedRequest, EmbedResponse, EmbedStreamRequest, EmbedStreamResponse, ListModelsRequest,
    ListModelsResponse, TokenizeRequest, TokenizeResponse, TokenizeStreamRequest, TokenizeStreamResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::codegen::BoxStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument as _;

#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource in request.into_inner().resource_spans {
            for scope in resource.scope_spans {
                self.spans.lock().unwrap().extend(scope.spans);
            }
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        for resource in request.into_inner().resource_metrics {
            for scope in resource.scope_metrics {
                self.metrics.lock().unwrap().extend(scope.metrics.into_iter().map(|metric| metric.name));
            }
        }
        Ok(Response::new(Default::default()))
    }
}

/// Answers by itself, or asks the service behind it.
struct Hop {
    behind: Option<ClientConfig>,
}

#[tonic::async_trait]
impl ServingService for Hop {
    type TokenizeStreamStream = BoxStream<TokenizeStreamResponse>;
    type EmbedStreamStream = BoxStream<EmbedStreamResponse>;

    async fn list_models(
        &self,
        request: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        match &self.behind {
            None => Ok(Response::new(Default::default())),
            Some(config) => {
                ServingServiceClient::new(channel(config).unwrap()).list_models(request.into_inner()).await
            }
        }
    }

    async fn tokenize(&self, _: Request<TokenizeRequest>) -> Result<Response<TokenizeResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    async fn embed(&self, _: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    async fn tokenize_stream(
        &self,
        _: Request<Streaming<TokenizeStreamRequest>>,
    ) -> Result<Response<Self::TokenizeStreamStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    async fn embed_stream(
        &self,
        _: Request<Streaming<EmbedStreamRequest>>,
    ) -> Result<Response<Self::EmbedStreamStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}

async fn serve(tasks: &Tasks, routes: Routes) -> ClientConfig {
    let server = Server::bind("gateway", &PlatformConfig::default(), Health::new()).await.unwrap();
    let address = server.grpc_address();
    server.spawn(tasks, &[], routes);
    ClientConfig::new(format!("http://{address}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_through_two_services_is_one_trace() {
    let tasks = Tasks::new(Shutdown::new(), Duration::from_secs(2));
    let collector = Collector::default();
    let routes = Routes::new(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector.clone()));
    let collector_address = serve(&tasks, routes).await.endpoint;
    let config = TelemetryConfig { otlp_endpoint: Some(collector_address), ..Default::default() };
    let guard = telemetry::init("gateway", &config).unwrap();

    let back = serve(&tasks, Routes::new(ServingServiceServer::new(Hop { behind: None }))).await;
    let front = serve(&tasks, Routes::new(ServingServiceServer::new(Hop { behind: Some(back) }))).await;
    telemetry::counter("ailayer.test.calls", "{call}", "Calls of the test.").add(3, &[("kind", "test")]);
    let mut client = ServingServiceClient::new(channel(&front).unwrap());
    let root = tracing::info_span!("buyer");
    client.list_models(ListModelsRequest {}).instrument(root).await.unwrap();

    let page = telemetry::render_metrics().unwrap();
    assert!(page.contains("ailayer_test_calls_total{kind=\"test\""), "{page}");
    assert!(page.contains("rpc_server_call_duration_seconds_count"), "{page}");

    // Dropping the guard flushes both exporters.
    tokio::task::spawn_blocking(move || drop(guard)).await.unwrap();
    let spans: Vec<Span> = collector.spans.lock().unwrap().clone();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    let buyer = named("buyer").remove(0);
    let hops = named("ailayer.serving.v1.ServingService/ListModels");
    assert_eq!(hops.len(), 2, "{spans:?}");
    let by_parent: HashMap<&[u8], &Span> =
        hops.iter().map(|span| (span.parent_span_id.as_slice(), span)).collect();
    let front = by_parent.get(buyer.span_id.as_slice()).expect("the front's parent is the buyer");
    let back = by_parent.get(front.span_id.as_slice()).expect("the back's parent is the front");
    assert!(buyer.trace_id == front.trace_id && front.trace_id == back.trace_id);
    let metrics = collector.metrics.lock().unwrap().clone();
    assert!(metrics.iter().any(|name| name == "rpc.server.call.duration"), "{metrics:?}");
    tasks.shutdown_token().trigger();
    tasks.join().await.unwrap();
}
