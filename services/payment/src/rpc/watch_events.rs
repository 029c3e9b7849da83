//! `WatchEvents`: the log from a cursor, then live.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_proto::ailayer::payment::v1::{WatchEventsRequest, WatchEventsResponse};
use ailayer_store::event_log::Signal;
use futures::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::event_codec;
use crate::app::App;
use crate::error::ServiceError;
use crate::store::events;

/// Events read at once: bounds what one slow consumer keeps in memory.
const BATCH: u32 = 256;
/// A missed wake-up only delays.
const POLL: Duration = Duration::from_secs(2);
/// When a reader that found no place may try again.
const PLACE_RETRY: Duration = Duration::from_secs(5);

pub(super) type EventStream = BoxStream<'static, Result<WatchEventsResponse, Status>>;

pub(super) async fn handle(app: &Arc<App>, request: &WatchEventsRequest) -> Result<EventStream, Failure> {
    let head = events::head(&app.rows).await.map_err(ServiceError::from)?;
    if request.after_cursor > head {
        let message = format!("the log ends at cursor {head}");
        return Err(Failure::field(ErrorReason::InvalidCursor, "after_cursor", message));
    }
    let permit = Arc::clone(&app.watchers).try_acquire_owned().map_err(|_| {
        Failure::new(ErrorReason::Overloaded, "too many readers watch the events")
            .with_retry_after(PLACE_RETRY)
    })?;
    let reader = Reader {
        app: Arc::clone(app),
        signal: app.signal.clone(),
        cursor: request.after_cursor,
        read: VecDeque::new(),
        _permit: permit,
    };
    Ok(stream::try_unfold(reader, Reader::next).boxed())
}

struct Reader {
    app: Arc<App>,
    signal: Signal,
    cursor: u64,
    read: VecDeque<WatchEventsResponse>,
    /// This reader's place, given back with the stream.
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(mut self) -> Result<Option<(WatchEventsResponse, Self)>, Status> {
        loop {
            if let Some(event) = self.read.pop_front() {
                self.cursor = event.cursor;
                return Ok(Some((event, self)));
            }
            if self.app.shutdown.is_cancelled() {
                let message = "the service is stopping; resume from the last cursor";
                return Err(Failure::new(ErrorReason::ShuttingDown, message).into());
            }
            self.fill().await.map_err(Failure::from)?;
            if self.read.is_empty() {
                tokio::select! {
                    () = self.signal.wait(POLL) => {}
                    () = self.app.shutdown.cancelled() => {}
                }
            }
        }
    }

    async fn fill(&mut self) -> Result<(), ServiceError> {
        for recorded in events::read_after(&self.app.rows, self.cursor, BATCH).await? {
            self.read.push_back(event_codec::decode(&recorded)?);
        }
        Ok(())
    }
}
