//! A collector of traces, as an operator would point the services at.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ailayer_platform::config::PlatformConfig;
use ailayer_platform::health::Health;
use ailayer_platform::server::Server;
use ailayer_platform::tasks::{Shutdown, Tasks, TasksError};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// By trace: the calls in it, each as `service: method`.
type Traces = BTreeMap<Vec<u8>, BTreeSet<String>>;

/// Takes spans over OTLP and keeps which calls belong together.
pub struct Collector {
    address: SocketAddr,
    tasks: Tasks,
    traces: Arc<Mutex<Traces>>,
}

impl Collector {
    /// Listens on a free port.
    pub async fn start() -> anyhow::Result<Self> {
        let tasks = Tasks::new(Shutdown::new(), std::time::Duration::from_secs(2));
        let traces = Arc::new(Mutex::new(Traces::new()));
        let server = Server::bind("collector", &PlatformConfig::default(), Health::new()).await?;
        let address = server.grpc_address();
        let sink = Sink { traces: Arc::clone(&traces) };
        server.spawn(&tasks, &[], Routes::new(TraceServiceServer::new(sink)));
        Ok(Self { address, tasks, traces })
    }

    /// The value of `otlp_endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whether one trace has all these calls.
    pub fn has_trace_with(&self, calls: &[&str]) -> bool {
        let traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        traces.values().any(|trace| calls.iter().all(|call| trace.contains(*call)))
    }

    /// Everything that has come, for messages.
    pub fn shown(&self) -> String {
        format!("{:?}", self.traces.lock().unwrap_or_else(PoisonError::into_inner).values())
    }

    /// Stops listening.
    pub async fn stop(self) -> Result<(), TasksError> {
        self.tasks.shutdown_token().trigger();
        self.tasks.join().await
    }
}

struct Sink {
    traces: Arc<Mutex<Traces>>,
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let service = attributes.into_iter().find(|it| it.key == "service.name");
            let service =
                service.and_then(|it| it.value).and_then(|it| it.value).map(text).unwrap_or_default();
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                traces.entry(span.trace_id).or_default().insert(format!("{service}: {}", span.name));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text(value: opentelemetry_proto::tonic::common::v1::any_value::Value) -> String {
    match value {
        opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue(text) => text,
        other => format!("{other:?}"),
    }
}
