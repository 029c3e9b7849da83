//! Streams of calls, whichever method they are of.
//!
//! No task and no queue of its own: the answers are computed as far as the reader takes them, so a slow reader
//! holds at most [`MAX_IN_FLIGHT`] requests, a client that leaves cancels them, and one that has sent its last
//! message gets what is outstanding.

use std::pin::Pin;
use std::time::Instant;

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_platform::server::{codec_refusal, deadline};
use futures::{Stream, StreamExt as _, future};
use tonic::{Request, Status};

use super::call_context::StreamContext;
use super::request_bytes::Charges;
use crate::domain::call::CallContext;

/// The most requests of one stream that are worked on at a time; further ones stay in the connection's window.
const MAX_IN_FLIGHT: usize = 32;

/// The answers of one stream.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers each request as soon as it is done, in any order, and gives its charge back then. The first error ends the stream: one of the transport or the
/// codec, after which nothing can be read, or one of `answer`.
pub(super) fn answers<Q, A, F>(
    requests: impl Stream<Item = Result<Q, Status>> + Send + 'static,
    charges: Charges,
    answer: impl Fn(Q) -> F + Send + 'static,
) -> Answers<A>
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = Result<A, Status>> + Send + 'static,
{
    let answers = requests.map(move |request| match request {
        Ok(request) => {
            let (charge, answer) = (charges.take(), answer(request));
            future::Either::Left(async move {
                let answer = answer.await;
                drop(charge);
                answer
            })
        }
        Err(status) => {
            let status = codec_refusal(&status).map_or(status, Status::from);
            future::Either::Right(future::ready(Err(status)))
        }
    });
    let mut ended = false;
    let answers = answers.buffer_unordered(MAX_IN_FLIGHT).take_while(move |answer| {
        let go_on = !ended;
        ended = answer.is_err();
        future::ready(go_on)
    });
    Box::pin(answers)
}

/// Does the work of one request within its deadline: the server's deadline layer watches a stream only until it begins.
pub(super) async fn within_deadline<T>(
    context: &StreamContext,
    work: impl AsyncFnOnce(&CallContext) -> Result<T, Status>,
) -> Result<T, Status> {
    let context = context.of_request();
    let work = work(&context);
    match context.deadline {
        None => work.await,
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            let done = deadline::within(left, tokio::time::timeout(left, work)).await;
            done.unwrap_or_else(|_| {
                Err(Failure::new(ErrorReason::DeadlineExceeded, "the request's deadline passed").into())
            })
        }
    }
}

/// What the messages of a stream are charged by.
pub(super) fn charges<T>(request: &Request<T>) -> Charges {
    request.extensions().get().cloned().unwrap_or_default()
}

/// The call that a message carries.
pub(super) fn required<T>(request: Option<T>) -> Result<T, Status> {
    request.ok_or_else(|| Failure::invalid_field("request", "the message carries no call").into())
}

#[cfg(test)]
mod tests;
