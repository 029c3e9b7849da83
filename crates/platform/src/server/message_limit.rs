//! A message over the limit is told as what it is.
//!
//! tonic's codec refuses it with a bare OUT_OF_RANGE. No service of ours uses that code, so it can be
//! translated: RESOURCE_EXHAUSTED with the reason MESSAGE_TOO_LARGE and no retry time, since the same message never fits.

use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use super::status_body::respond;
use crate::error::{ErrorReason, Failure};

/// Makes [`MessageLimit`].
#[derive(Debug, Clone, Copy)]
pub struct MessageLimitLayer;

impl<S> Layer<S> for MessageLimitLayer {
    type Service = MessageLimit<S>;
    fn layer(&self, inner: S) -> MessageLimit<S> {
        MessageLimit { inner }
    }
}

/// Translates the codec's refusal of the inner service.
#[derive(Debug, Clone)]
pub struct MessageLimit<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for MessageLimit<S>
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
        let call = self.inner.call(request);
        async move {
            let answer = call.await?;
            let code = answer.headers().get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
            if code == Some(Code::OutOfRange) {
                let message = "the message is larger than this service accepts";
                return Ok(respond(Failure::new(ErrorReason::MessageTooLarge, message)));
            }
            Ok(answer)
        }
        .boxed()
    }
}
