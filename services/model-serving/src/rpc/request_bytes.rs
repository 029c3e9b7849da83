//! One budget for the bytes of all requests that are being received or worked on.
//!
//! tonic reserves a message's declared length as soon as its five-byte header has come. Without this, a few
//! hundred callers that each announce the largest message allowed would take that many times its memory.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

pub(super) use body::Charges;
pub(super) use budget::Budget;

mod body;
mod budget;
mod frames;

use body::CountedBody;

/// Makes [`RequestBytes`].
#[derive(Debug, Clone)]
pub(super) struct RequestBytesLayer {
    /// Shared by all services of the process.
    pub budget: Arc<Budget>,
    /// The largest message the service within takes, unpacked; larger ones are left to its codec to refuse.
    pub max_message_bytes: usize,
    /// The longest that a message which has begun may take to come.
    pub message_time: Duration,
}

impl<S> Layer<S> for RequestBytesLayer {
    type Service = RequestBytes<S>;
    fn layer(&self, inner: S) -> RequestBytes<S> {
        RequestBytes { inner, limits: self.clone() }
    }
}

/// Charges each request message to the budget before a byte of it reaches the codec within.
///
/// The charge of a unary call is held until the call is answered. A stream's handler finds [`Charges`] in the request's
/// extensions, and takes over the charge of each message until that is answered.
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
        let charges = Charges::default();
        let (limits, for_body) = (self.limits.clone(), charges.clone());
        let mut request = request.map(|body| Body::new(CountedBody::new(body, limits, for_body)));
        request.extensions_mut().insert(charges.clone());
        let call = self.inner.call(request);
        Box::pin(async move {
            let answer = call.await;
            drop(charges);
            answer
        })
    }
}

#[cfg(test)]
mod tests;
