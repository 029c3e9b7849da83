//! A collector that takes traces and metrics over OTLP and keeps nothing but their number.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ailayer_platform::tasks::{Shutdown, Tasks};
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
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Batches of spans may be large.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
const GRACE_PERIOD: Duration = Duration::from_secs(2);

/// Listens while it lives.
pub struct Sink {
    address: SocketAddr,
    tasks: Tasks,
    spans: Arc<AtomicU64>,
}

impl Sink {
    /// On a free port, in this process.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let spans = Arc::new(AtomicU64::new(0));
        let traces = TraceServiceServer::new(Counting { spans: Arc::clone(&spans) });
        let metrics = MetricsServiceServer::new(Counting { spans: Arc::clone(&spans) });
        let router = Server::builder()
            .add_service(traces.max_decoding_message_size(MAX_MESSAGE_BYTES))
            .add_service(metrics.max_decoding_message_size(MAX_MESSAGE_BYTES));
        let tasks = Tasks::new(Shutdown::new(), GRACE_PERIOD);
        let ended = tasks.shutdown_token();
        tasks.spawn("sink", async move {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let serving =
                router.serve_with_incoming_shutdown(incoming, async move { ended.cancelled().await });
            // Whoever counts sees that nothing comes any more.
            drop(serving.await);
        });
        Ok(Self { address, tasks, spans })
    }

    /// The value of `otlp_endpoint`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The spans that have come.
    pub fn spans(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }

    /// Stops listening.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.tasks.shutdown_token().trigger();
        Ok(self.tasks.join().await?)
    }
}

struct Counting {
    spans: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl TraceService for Counting {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.get_ref().resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        let count = scopes.map(|scope| scope.spans.len()).fold(0, usize::saturating_add);
        self.spans.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Counting {
    async fn export(
        &self,
        _: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
