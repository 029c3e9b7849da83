//! One budget for the bytes of all requests that are being received or worked on.
//!
//! tonic reserves a message's declared length as soon as its five-byte header has come. Without this, a few
//! hundred callers that each announce the largest message allowed would take that many times its memory.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

pub(super) use budget::Budget;

mod body;
mod budget;
mod frames;

use body::{CountedBody, Held};

/// Makes [`RequestBytes`].
#[derive(Debug, Clone)]
pub(super) struct RequestBytesLayer {
    /// Shared by all services of the process.
    pub budget: Arc<Budget>,
    /// The largest message the service within takes, unpacked; larger ones are left to its codec to refuse.
    pub max_message_bytes: usize,
}

impl<S> Layer<S> for RequestBytesLayer {
    type Service = RequestBytes<S>;
    fn layer(&self, inner: S) -> RequestBytes<S> {
        RequestBytes { inner, limits: self.clone() }
    }
}

/// Charges each request message to the budget before a byte of it reaches the codec within.
///
/// The charge is held until the call is answered. Of a stream only the latest message is charged; how many
/// of the earlier ones may be in work is bounded by the stream itself.
#[derive(Debug, Clone)]
pub(super) struct RequestBytes<S> {
    inner: S,
    limits: RequestBytesLayer,
}

impl<S> Service<Request<Body>> for RequestBytes<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let held = Arc::new(Held::default());
        let for_body = Arc::clone(&held);
        let limits = self.limits.clone();
        let request = request.map(|body| Body::new(CountedBody::new(body, limits, for_body)));
        let call = self.inner.call(request);
        Box::pin(async move {
            let answer = call.await;
            drop(held);
            answer
        })
    }
}

#[cfg(test)]
mod tests;
