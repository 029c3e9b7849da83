//! A place in the queue, and the answer that comes of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::{Runner, Shared};
use crate::domain::scheduler::EntryId;
use crate::domain::statistics::{Outcome, RequestFinished};
use crate::error::ServeError;
use crate::worker::WorkerError;

/// An answer, and the time it took.
#[derive(Debug)]
pub struct Done<O> {
    /// The answer.
    pub output: O,
    /// Time in the queue.
    pub queue_time: Duration,
    /// Time in the runner: that of the whole batch.
    pub run_time: Duration,
}

/// A queued request. Dropped, it takes its entry back.
pub struct Ticket<R: Runner> {
    pub(super) place: Place<R>,
    pub(super) answer: oneshot::Receiver<Result<Done<R::Output>, ServeError>>,
    pub(super) deadline: Option<Instant>,
}

/// Takes its entry back when dropped, unless it was answered.
pub(super) struct Place<R: Runner> {
    pub(super) shared: Arc<Shared<R>>,
    pub(super) id: EntryId,
    pub(super) rows: usize,
    pub(super) queued_at: Instant,
    pub(super) answered: bool,
    pub(super) outcome: Outcome,
}

impl<R: Runner> Ticket<R> {
    /// Waits for the answer, at most until the call's deadline.
    pub async fn answer(mut self) -> Result<Done<R::Output>, ServeError> {
        let answer = match self.deadline {
            None => (&mut self.answer).await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), &mut self.answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    self.place.outcome = Outcome::Rejected;
                    return Err(WorkerError::Late.into());
                }
            },
        };
        self.place.answered = true;
        answer.unwrap_or_else(|_| Err(WorkerError::Stopping.into()))
    }
}

impl<R: Runner> Drop for Place<R> {
    fn drop(&mut self) {
        // One that runs is counted by its thread.
        if !self.answered && self.shared.take_back(self.id) {
            let total = self.queued_at.elapsed();
            self.shared.metrics.request_finished(&RequestFinished {
                outcome: self.outcome,
                total,
                queue: total,
                compute_input: Duration::ZERO,
                compute_infer: Duration::ZERO,
                compute_output: Duration::ZERO,
                rows: self.rows,
            });
        }
    }
}
