//! The in-flight limit: more calls than the process can carry are shed at once, loudly.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tower::{Layer, Service};

use super::status_body::respond;
use crate::error::{ErrorReason, Failure};
use crate::telemetry::{Counter, counter};

/// Health checks must be answered most of all when the server is full.
const ALWAYS_ADMITTED: &str = "/grpc.health.v1.Health/";
/// Calls of services with this name are counted apart: who wants to stop a flood of calls must get in while it lasts.
const OPERATORS: &str = "AdminService/";
/// How many of those are admitted at once.
const MAX_OPERATORS: usize = 32;

/// Makes [`InFlight`] services that share one limit, over all connections.
#[derive(Debug, Clone)]
pub struct InFlightLayer {
    permits: Arc<Semaphore>,
    operators: Arc<Semaphore>,
    shed: Counter,
}

impl InFlightLayer {
    /// At most `limit` calls at once; operators' calls have a limit of their own.
    pub fn new(limit: usize) -> Self {
        let shed =
            counter("ailayer.rpc.server.shed", "{request}", "Calls refused because the server was full.");
        let operators = Arc::new(Semaphore::new(MAX_OPERATORS));
        Self { permits: Arc::new(Semaphore::new(limit)), operators, shed }
    }
}

impl<S> Layer<S> for InFlightLayer {
    type Service = InFlight<S>;
    fn layer(&self, inner: S) -> InFlight<S> {
        InFlight {
            inner,
            permits: Arc::clone(&self.permits),
            operators: Arc::clone(&self.operators),
            shed: self.shed.clone(),
        }
    }
}

/// Holds a permit until the inner service has answered; a stream counts until its first message is due.
#[derive(Debug, Clone)]
pub struct InFlight<S> {
    inner: S,
    permits: Arc<Semaphore>,
    operators: Arc<Semaphore>,
    shed: Counter,
}

impl<S> Service<Request<Body>> for InFlight<S>
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
        let path = request.uri().path();
        if path.starts_with(ALWAYS_ADMITTED) {
            return self.inner.call(request).boxed();
        }
        let permits = if path.contains(OPERATORS) { &self.operators } else { &self.permits };
        match Arc::clone(permits).try_acquire_owned() {
            Ok(permit) => {
                let call = self.inner.call(request);
                async move {
                    let answer = call.await;
                    drop(permit);
                    answer
                }
                .boxed()
            }
            Err(_) => {
                self.shed.add(1, &[]);
                let failure = Failure::new(ErrorReason::Overloaded, "too many requests in flight");
                async move { Ok(respond(failure)) }.boxed()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::pending;

    use tower::service_fn;

    use super::*;

    /// What the server behind the layer never answers itself.
    const REACHED: &str = "x-reached";

    #[tokio::test]
    async fn operators_get_in_while_customers_fill_the_server() {
        let inner = service_fn(|request: Request<Body>| async move {
            if request.headers().contains_key("x-hang") {
                return pending().await;
            }
            let response = Response::builder().header(REACHED, "yes").body(Body::empty());
            Ok::<_, Infallible>(response.unwrap())
        });
        let layer = InFlightLayer::new(1);
        let call = |path: &str, hang: bool| {
            let request = Request::builder().uri(path);
            let request = if hang { request.header("x-hang", "yes") } else { request };
            layer.layer(inner).call(request.body(Body::empty()).unwrap())
        };
        let reached = |response: Response<Body>| response.headers().contains_key(REACHED);
        let mut hanging = call("/ailayer.gateway.v1.AccountService/RunJob", true);
        assert!((&mut hanging).now_or_never().is_none());
        assert!(!reached(call("/ailayer.gateway.v1.AccountService/RunJob", false).await.unwrap()), "full");
        assert!(reached(call("/grpc.health.v1.Health/Check", false).await.unwrap()));
        let admin = "/ailayer.gateway.v1.AdminService/SetBrake";
        assert!(reached(call(admin, false).await.unwrap()));
        let many: Vec<_> = (0..MAX_OPERATORS).map(|_| call(admin, true)).collect();
        assert!(!reached(call(admin, false).await.unwrap()), "operators have a bound, too");
        drop((hanging, many));
        assert!(reached(call("/ailayer.gateway.v1.AccountService/RunJob", false).await.unwrap()));
    }
}
