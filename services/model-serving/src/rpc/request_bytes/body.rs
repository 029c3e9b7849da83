//! A request body that stops before a message there is no room for.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ailayer_platform::error::{ErrorReason, Failure};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;

use super::RequestBytesLayer;
use super::budget::Charge;
use super::frames::{Announced, Frames};

/// DEFLATE, which gzip and zlib wrap, packs no better than this.
const BEST_RATIO: usize = 1032;

/// The charge of the message in work, shared by the body and the call.
pub(super) type Held = Mutex<Option<Charge>>;

/// A body whose messages are charged to the budget as their headers come.
pub(super) struct CountedBody {
    inner: Body,
    frames: Frames,
    limits: RequestBytesLayer,
    held: Arc<Held>,
}

impl CountedBody {
    /// Nothing is charged before the first header.
    pub(super) fn new(inner: Body, limits: RequestBytesLayer, held: Arc<Held>) -> Self {
        Self { inner, frames: Frames::default(), limits, held }
    }

    /// Charges a message in place of the one before it, or says why not.
    fn admit(&self, announced: Announced) -> Result<(), Failure> {
        let Announced { compressed, bytes } = announced;
        let most = self.limits.max_message_bytes;
        let mut held = self.held.lock();
        *held = None;
        if bytes > most {
            // The codec refuses it before it reserves anything.
            return Ok(());
        }
        // A compressed message is in memory twice, and what it unpacks to is not known before.
        let unpacked = if compressed { bytes.saturating_mul(BEST_RATIO).min(most) } else { 0 };
        let refused = || Failure::new(ErrorReason::Overloaded, "too many bytes of requests are in work");
        *held = Some(self.limits.budget.charge(bytes.saturating_add(unpacked)).ok_or_else(refused)?);
        Ok(())
    }
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            for announced in self.frames.scan(data) {
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
