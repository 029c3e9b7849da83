//! Streams chain events from a cursor on.

use std::collections::VecDeque;
use std::time::Duration;

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_platform::tasks::Shutdown;
use ailayer_proto::ailayer::indexer::v1 as pb;
use futures::stream::{BoxStream, StreamExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Status;

use super::{IndexerRpc, convert};
use crate::store::{ChainStore, LoggedEvent};

/// Events read ahead of a reader. It pulls: a slow one costs this much memory and no more.
const READ_AHEAD: u32 = 500;
/// How late a reader of a replica that does not write may learn of a block.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// When a reader that found no place may try again.
const PLACE_RETRY: Duration = Duration::from_secs(5);

pub(super) async fn handle(
    rpc: &IndexerRpc,
    request: pb::WatchBlocksRequest,
) -> Result<BoxStream<'static, Result<pb::WatchBlocksResponse, Status>>, Failure> {
    let head = rpc.store.head_cursor().await?;
    if request.after_cursor > head {
        return Err(Failure::field(
            ErrorReason::InvalidCursor,
            "after_cursor",
            format!("lies ahead of the log, which ends at {head}"),
        ));
    }
    let permit = rpc.watchers.clone().try_acquire_owned().map_err(|_| {
        Failure::new(ErrorReason::Overloaded, "too many readers watch the chain")
            .with_retry_after(PLACE_RETRY)
    })?;
    let feed = Feed {
        store: rpc.store.clone(),
        shutdown: rpc.shutdown.clone(),
        cursor: request.after_cursor,
        read_ahead: VecDeque::new(),
        _permit: permit,
    };
    let events = futures::stream::try_unfold(feed, async |mut feed| {
        let event = feed.next().await.map_err(Status::from)?;
        Ok(Some((convert::event(&event), feed)))
    });
    Ok(events.boxed())
}

struct Feed {
    store: ChainStore,
    shutdown: Shutdown,
    /// The last event read.
    cursor: u64,
    read_ahead: VecDeque<LoggedEvent>,
    /// This reader's place, given back with the stream.
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    /// The next event; waits for one to happen.
    async fn next(&mut self) -> Result<LoggedEvent, Failure> {
        loop {
            if let Some(event) = self.read_ahead.pop_front() {
                return Ok(event);
            }
            if self.shutdown.is_cancelled() {
                return Err(Failure::new(
                    ErrorReason::ShuttingDown,
                    "the indexer is stopping; resume elsewhere",
                ));
            }
            self.read_ahead.extend(self.store.events_after(self.cursor, READ_AHEAD).await?);
            match self.read_ahead.back() {
                Some(newest) => self.cursor = newest.cursor,
                None => {
                    tokio::select! {
                        () = self.store.wait_for_events(LOOK_AGAIN) => {}
                        () = self.shutdown.cancelled() => {}
                    }
                }
            }
        }
    }
}
