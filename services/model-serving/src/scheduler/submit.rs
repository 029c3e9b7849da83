//! Into the queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::state::{Job, Phase};
use super::ticket::Place;
use super::{Runner, Shared, Ticket};
use crate::domain::call::CallContext;
use crate::domain::scheduler::{DropReason, Dropped, Entry, Refusal};
use crate::domain::statistics::{Outcome, RequestFinished};
use crate::worker::WorkerError;

/// What the queue must know of a request.
#[derive(Debug)]
pub struct Request<K, W> {
    /// What is to be done.
    pub work: W,
    /// Requests with equal keys may share a run; none runs alone.
    pub key: Option<K>,
    /// Its rows.
    pub rows: usize,
    /// The length of each row in tokens; 0 where rows are not padded.
    pub width: usize,
    /// The memory it holds.
    pub bytes: usize,
}

impl<R: Runner> Shared<R> {
    pub(super) fn submit(
        shared: &Arc<Self>,
        requests: Vec<Request<R::Key, R::Work>>,
        context: &CallContext,
        priority: u32,
    ) -> Result<Vec<Ticket<R>>, WorkerError> {
        let (mut dropped, mut retry_after) = (Vec::new(), Duration::ZERO);
        let queued_at = Instant::now();
        let (call, waiting): (Vec<_>, Vec<_>) = requests
            .into_iter()
            .map(|Request { work, key, rows, width, bytes }| {
                let (reply, answer) = oneshot::channel();
                let entry = Entry {
                    work: Job { work, reply },
                    key,
                    rows,
                    width,
                    bytes,
                    priority,
                    account: Arc::clone(&context.account),
                    deadline: context.deadline,
                    queued_at,
                };
                (entry, (rows, answer))
            })
            .unzip();
        let mut state = shared.state.lock();
        let threads = match state.phase {
            Phase::Open => state.running.len(),
            Phase::Broken => return Err(WorkerError::Broken),
            Phase::Stopped => return Err(WorkerError::Stopping),
        };
        let taken = state.queue.push(call, queued_at, &mut dropped);
        if !dropped.is_empty() {
            retry_after = state.queue.retry_after(queued_at);
        }
        shared.metrics.queue_length(state.queue.len());
        drop(state);
        shared.answer_dropped(dropped, retry_after);
        let ids = taken.map_err(|reason| {
            for (rows, _) in &waiting {
                shared.refused(queued_at, *rows);
            }
            match reason {
                Refusal::Overloaded { retry_after } => WorkerError::Overloaded { retry_after },
                Refusal::Late => WorkerError::Late,
            }
        })?;
        for _ in 0..ids.len().min(threads) {
            shared.work_arrived.notify_one();
        }
        let tickets = ids.into_iter().zip(waiting).map(|(id, (rows, answer))| {
            shared.metrics.request_queued();
            let (shared, outcome) = (Arc::clone(shared), Outcome::Canceled);
            let place = Place { shared, id, rows, queued_at, answered: false, outcome };
            Ticket { place, answer, deadline: context.deadline }
        });
        Ok(tickets.collect())
    }

    /// Tells callers whose entries were dropped from the queue.
    pub(super) fn answer_dropped(&self, dropped: Vec<Dropped<Job<R>>>, retry_after: Duration) {
        for Dropped { work, reason } in dropped {
            let error = match reason {
                DropReason::Late => WorkerError::Late,
                DropReason::OutOfTime | DropReason::TooOld | DropReason::PushedOut => {
                    WorkerError::Overloaded { retry_after }
                }
            };
            self.refused(Instant::now(), 0);
            // The caller may have left meanwhile; then nobody wants to know.
            drop(work.reply.send(Err(error.into())));
        }
    }

    fn refused(&self, since: Instant, rows: usize) {
        let total = since.elapsed();
        self.metrics.request_finished(&RequestFinished {
            outcome: Outcome::Rejected,
            total,
            queue: total,
            compute_input: Duration::ZERO,
            compute_infer: Duration::ZERO,
            compute_output: Duration::ZERO,
            rows,
        });
    }
}
