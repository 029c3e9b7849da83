//! Deadlines: the caller's `grpc-timeout`, capped by the server, kept for the calls made on its behalf.

use std::future::Future;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use tokio::time::Instant;
use tonic::body::Body;
use tower::{Layer, Service};

use super::status_body::respond;
use crate::error::{ErrorReason, Failure};

tokio::task_local! {
    static DEADLINE: Instant;
}

/// We answer this much before the caller's own timer, so that the typed error arrives. It also wins
/// against tonic's built-in timer, whose answer is an untyped CANCELLED.
const HEAD_START: Duration = Duration::from_millis(5);

/// What is left of the deadline of the call being served, if this code runs on behalf of one.
pub fn remaining() -> Option<Duration> {
    DEADLINE.try_with(|deadline| deadline.saturating_duration_since(Instant::now())).ok()
}

/// Runs `work` as if on behalf of a call that must be done in `timeout`.
pub async fn within<F: Future>(timeout: Duration, work: F) -> F::Output {
    DEADLINE.scope(Instant::now() + timeout, work).await
}

/// Makes [`Deadline`] services with one cap.
#[derive(Debug, Clone)]
pub struct DeadlineLayer {
    cap: Duration,
}

impl DeadlineLayer {
    /// No call is served for longer than `cap`.
    pub const fn new(cap: Duration) -> Self {
        Self { cap }
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;
    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline { inner, cap: self.cap }
    }
}

/// Ends calls that take too long with DEADLINE_EXCEEDED. Streams are bounded until they begin.
#[derive(Debug, Clone)]
pub struct Deadline<S> {
    inner: S,
    cap: Duration,
}

impl<S> Service<Request<Body>> for Deadline<S>
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
        let asked = requested_timeout(request.headers()).map(|asked| asked.saturating_sub(HEAD_START));
        let timeout = asked.unwrap_or(self.cap).min(self.cap);
        if timeout.is_zero() {
            return async { Ok(respond(too_late())) }.boxed();
        }
        let deadline = Instant::now() + timeout;
        let call = DEADLINE.scope(deadline, self.inner.call(request));
        async move {
            match tokio::time::timeout_at(deadline, call).await {
                Ok(answer) => answer,
                Err(_) => Ok(respond(too_late())),
            }
        }
        .boxed()
    }
}

fn too_late() -> Failure {
    Failure::new(ErrorReason::DeadlineExceeded, "the call's deadline passed")
}

/// What the caller asked for in `grpc-timeout`, uncapped: how long a stream may last.
///
/// gRPC over HTTP/2 gives it at most 8 digits and a unit; a malformed one counts as none.
pub fn requested_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
