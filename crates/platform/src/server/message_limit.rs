//! A message that the codec refuses is told as what it is.
//!
//! tonic refuses one over the limit with a bare OUT_OF_RANGE, one that unpacks beyond it with a bare
//! RESOURCE_EXHAUSTED, and one that does not unpack or decode with a bare INTERNAL. What our handlers answer is
//! never bare, it has details; so these can be translated: RESOURCE_EXHAUSTED with the reason MESSAGE_TOO_LARGE and
//! no retry time, since the same message never fits, and INVALID_ARGUMENT with INVALID_FIELD.

use std::task::{Context, Poll};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
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
            Ok(refusal_of_codec(&answer).map_or(answer, respond))
        }
        .boxed()
    }
}

fn refusal_of_codec(answer: &Response<Body>) -> Option<Failure> {
    let headers = answer.headers();
    if headers.contains_key("grpc-status-details-bin") {
        return None;
    }
    failure_of_code(Code::from_bytes(headers.get("grpc-status")?.as_bytes()))
}

/// What the codec's refusal of a message of a stream means, which no layer sees, for the stream has begun.
///
/// To be asked of errors that came out of the request stream itself; None for others than the codec's.
pub fn codec_refusal(status: &Status) -> Option<Failure> {
    if status.details().is_empty() { failure_of_code(status.code()) } else { None }
}

fn failure_of_code(code: Code) -> Option<Failure> {
    match code {
        Code::OutOfRange | Code::ResourceExhausted => {
            let message = "the message is larger than this service accepts, in bytes or in elements";
            Some(Failure::new(ErrorReason::MessageTooLarge, message))
        }
        Code::Internal => Some(Failure::new(ErrorReason::InvalidField, "the message cannot be decoded")),
        _ => None,
    }
}
