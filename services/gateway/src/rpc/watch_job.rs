//! `WatchJob`: every change of a job from its history, the present state first.

use std::collections::VecDeque;
use std::time::Duration;

use ailayer_client::ErrorReason;
use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::gateway::v1 as pb;
use futures::stream::{self, BoxStream, StreamExt as _};
use tonic::Status;

use super::{Answer, Gateway, convert};
use crate::error::JobError;
use crate::places::Place;
use crate::signals::JobChanges;
use crate::store::JobRecord;
use crate::store::history::{self, JobEvent};

/// Watchers of one job, those that were cut off and not noticed yet included.
const OF_A_JOB: usize = 4;
/// How often the history is looked at when no signal comes: another replica may drive the job.
const POLL: Duration = Duration::from_secs(1);

pub(super) type JobStream = BoxStream<'static, Result<pb::WatchJobResponse, Status>>;

/// One watcher. Holds nothing but its place in the history.
struct Watcher {
    gateway: Gateway,
    record: JobRecord,
    changes: JobChanges,
    seen: u64,
    pending: VecDeque<JobEvent>,
    ended: bool,
    _place: Place,
}

pub(super) async fn watch_job(gateway: &Gateway, request: pb::WatchJobRequest) -> Answer<JobStream> {
    let record = gateway.open(request.key).await?;
    let place = gateway.places.take(record.job_id.uuid(), OF_A_JOB).map_err(JobError::TooManyStreams)?;
    // What happens between the read and this is found in the history, which is looked at before the first wait.
    let changes = gateway.signals.watch(record.job_id);
    let first = response(convert::job(&record));
    let watcher = Watcher {
        gateway: gateway.clone(),
        seen: record.version,
        ended: record.job.state.is_terminal(),
        record,
        changes,
        pending: VecDeque::new(),
        _place: place,
    };
    let changes = stream::unfold(watcher, |mut watcher| async move {
        let next = watcher.next().await?;
        Some((next.map_err(Status::from), watcher))
    });
    Ok(stream::iter([Ok(first)]).chain(changes).boxed())
}

impl Watcher {
    /// The next change; none after a terminal state.
    async fn next(&mut self) -> Option<Result<pb::WatchJobResponse, Failure>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                self.seen = event.version;
                self.ended = event.state.is_terminal();
                return Some(Ok(response(convert::job_at(&self.record, &event))));
            }
            if self.ended {
                return None;
            }
            let shutdown = self.gateway.shutdown.clone();
            // Going down is looked at first: the database may go away with us, and is not what ended the stream.
            let read = tokio::select! {
                biased;
                () = shutdown.cancelled() => return Some(Err(self.going_down())),
                read = history::after(self.gateway.jobs.store().pool(), self.record.job_id, self.seen) => read,
            };
            match read {
                Ok(events) if events.is_empty() => {}
                Ok(events) => {
                    self.pending = events.into();
                    continue;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error.into()));
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return Some(Err(self.going_down())),
                () = self.changes.next() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    fn going_down(&mut self) -> Failure {
        self.ended = true;
        Failure::new(ErrorReason::ShuttingDown, "the gateway is going down; watch again")
    }
}

fn response(job: pb::Job) -> pb::WatchJobResponse {
    pb::WatchJobResponse { job: Some(job) }
}
