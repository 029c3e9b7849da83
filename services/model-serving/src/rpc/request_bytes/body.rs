//! A request body that stops before a message there is no room for, and gives up one that does not come.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use ailayer_platform::error::{ErrorReason, Failure};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

use super::RequestBytesLayer;
use super::budget::Charge;
use super::frames::{Announced, Frames};

/// DEFLATE, which gzip and zlib wrap, packs no better than this.
const BEST_RATIO: usize = 1032;

/// The charges of the messages that have been announced and not yet been taken over, in order; shared by the body and
/// whoever answers the messages.
#[derive(Debug, Clone, Default)]
pub(in crate::rpc) struct Charges(Arc<Mutex<VecDeque<Charge>>>);

impl Charges {
    /// Takes over the charge of the oldest message, to be kept until it is answered.
    pub(in crate::rpc) fn take(&self) -> Option<Charge> {
        self.0.lock().pop_front()
    }

    fn push(&self, charge: Charge) {
        self.0.lock().push_back(charge);
    }
}

/// A body whose messages are charged to the budget as their headers come.
pub(super) struct CountedBody {
    inner: Body,
    frames: Frames,
    limits: RequestBytesLayer,
    charges: Charges,
    /// When to give up a message that has begun. It runs from the first time that the message was waited for: what
    /// nobody reads is not late.
    patience: Option<Pin<Box<Sleep>>>,
}

impl CountedBody {
    /// Nothing is charged before the first header.
    pub(super) fn new(inner: Body, limits: RequestBytesLayer, charges: Charges) -> Self {
        Self { inner, frames: Frames::default(), limits, charges, patience: None }
    }

    /// Charges a message, or says why not.
    fn admit(&self, announced: Announced) -> Result<(), Failure> {
        let Announced { compressed, bytes } = announced;
        let most = self.limits.max_message_bytes;
        if bytes > most {
            // The codec refuses it before it reserves anything, and reads no further.
            return Ok(());
        }
        // A compressed message is in memory twice, and what it unpacks to is not known before.
        let unpacked = if compressed { bytes.saturating_mul(BEST_RATIO).min(most) } else { 0 };
        let refused = || Failure::new(ErrorReason::Overloaded, "too many bytes of requests are in work");
        let charge = self.limits.budget.charge(bytes.saturating_add(unpacked)).ok_or_else(refused)?;
        self.charges.push(charge);
        Ok(())
    }

    /// Nothing has come; an error if that has been so for too long in the middle of a message.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Status> {
        if !self.frames.is_within_message() {
            self.patience = None;
            return Poll::Pending;
        }
        let time = self.limits.message_time;
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        patience.as_mut().poll(cx).map(|()| {
            Failure::new(ErrorReason::DeadlineExceeded, "a message that had begun did not come to its end")
                .into()
        })
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) else {
            return self.wait(cx).map(|status| Some(Err(status)));
        };
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            let announced = self.frames.scan(data);
            if !announced.is_empty() || !self.frames.is_within_message() {
                self.patience = None;
            }
            for announced in announced {
                if let Err(failure) = self.admit(announced) {
                    return Poll::Ready(Some(Err(Status::from(failure))));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
