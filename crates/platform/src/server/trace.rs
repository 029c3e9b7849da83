//! One span and one measurement a call.

use std::task::{Context, Poll};
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::telemetry::{Histogram, adopt_parent, histogram};

/// Makes [`Trace`] services that share one instrument.
#[derive(Debug, Clone)]
pub struct TraceLayer {
    duration: Histogram,
}

impl TraceLayer {
    /// Records `rpc.server.call.duration` (OpenTelemetry semantic conventions for RPC).
    pub fn new() -> Self {
        Self { duration: histogram("rpc.server.call.duration", "s", "Time to answer a call.") }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;
    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner, duration: self.duration.clone() }
    }
}

/// Traces and measures calls.
#[derive(Debug, Clone)]
pub struct Trace<S> {
    inner: S,
    duration: Histogram,
}

impl<S> Service<Request<Body>> for Trace<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let span =
            tracing::info_span!("rpc", otel.name = %method, rpc.system.name = "grpc", rpc.method = %method);
        adopt_parent(&span, request.headers());
        let duration = self.duration.clone();
        let begun = Instant::now();
        let call = self.inner.call(request);
        async move {
            let answer = call.await;
            let code = answer.as_ref().map_or("UNKNOWN", |answer| code_of(answer.headers()));
            // A method nobody serves is an attacker's choice of label: one bucket for all of them.
            let label = if code == "UNIMPLEMENTED" { "unknown" } else { method.as_str() };
            duration.record(
                begun.elapsed().as_secs_f64(),
                &[("rpc.method", label), ("rpc.response.status_code", code)],
            );
            answer
        }
        .instrument(span)
        .boxed()
    }
}

/// The code of a trailers-only answer; an answer with a body began well, and counts as OK.
fn code_of(headers: &HeaderMap) -> &'static str {
    const CODES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    let Some(header) = headers.get("grpc-status") else {
        return "OK";
    };
    let number: Option<usize> = header.to_str().ok().and_then(|text| text.parse().ok());
    number.and_then(|number| CODES.get(number)).copied().unwrap_or("UNKNOWN")
}
