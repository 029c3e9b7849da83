//! The coalescing writer of the ledger.
//!
//! It gathers whatever waits while the previous commit runs and writes it as one transaction, answering each operation as if
//! it had been applied alone and in its turn. Any number of writers may work on one database: each posts to house accounts
//! of its own, and the rest is locked in order. Nothing is kept here that a restart would lose.
//!
//! - An operation that the database refuses, or takes too long over, is found by halving the batch; its neighbours are
//!   written.
//! - After a commit that was not answered the batch is written again: the accounts' locks wait for the end of the first
//!   attempt, and what it has applied is known by its request ids.
//! - An operation whose caller went away is written all the same.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_platform::tasks::Shutdown;
use ailayer_store::{Store, StoreError};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::domain::ledger::{Stripe, Verdict};
use crate::store::ledger::{Submission, apply_in_tx};
use crate::telemetry;

mod queue;
mod riders;

use queue::Order;
pub use queue::{LedgerHandle, SubmitError, WriterLimits};
pub use riders::{NoRiders, Rider, Riders};

/// How often a batch is tried before its callers are told that the database does not answer.
const TRIES: u32 = 4;
/// Wait before the second try; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// The task's state.
pub struct LedgerWriter<R: Riders = NoRiders> {
    store: Store,
    riders: R,
    stripe: Stripe,
    limits: WriterLimits,
    queue: mpsc::Receiver<Order<R::Row>>,
}

/// A try that failed.
struct Failed {
    error: StoreError,
    /// What would be answered if the commit happened: it was asked for, and not answered.
    unclear: Option<Vec<Verdict>>,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self { error, unclear: None }
    }
}

impl<R: Riders> LedgerWriter<R> {
    /// Prepares a writer on `store`. What rides with operations is written by `riders`.
    pub fn new(store: Store, riders: R, limits: WriterLimits) -> (Self, LedgerHandle<R::Row>) {
        let (handle, queue) = queue::new(limits);
        let stripe = Stripe::of_writer(Uuid::new_v4());
        (Self { store, riders, stripe, limits, queue }, handle)
    }

    /// Writes until the shutdown, then what still waits.
    pub async fn run(mut self, shutdown: Shutdown) {
        loop {
            let first = tokio::select! {
                biased;
                () = shutdown.cancelled(), if !self.queue.is_closed() => {
                    self.queue.close();
                    continue;
                }
                first = self.queue.recv() => first,
            };
            let Some(first) = first else { return };
            // Those who were answered just now ask again together: let them.
            tokio::task::yield_now().await;
            let batch = self.gather(first);
            self.write(batch).await;
        }
    }

    /// Everything that waits, within the bounds of a batch. What has waited too long is refused instead.
    fn gather(&mut self, first: Order<R::Row>) -> Vec<Order<R::Row>> {
        let (mut bytes, mut batch) = (0usize, Vec::new());
        let mut next = Some(first);
        while let Some(order) = next.take() {
            if order.since.elapsed() > self.limits.max_age {
                telemetry::ledger_shed();
                order.answer(Err(SubmitError::Overloaded));
            } else {
                bytes = bytes.saturating_add(order.bytes);
                batch.push(order);
            }
            if batch.len() < self.limits.max_batch_operations && bytes < self.limits.max_batch_bytes {
                next = self.queue.try_recv().ok();
            }
        }
        telemetry::ledger_queue(self.queue.len());
        batch
    }

    /// Writes a batch and answers every caller, halving it to find what the database refuses.
    async fn write(&self, batch: Vec<Order<R::Row>>) {
        let mut parts = VecDeque::from([batch]);
        while let Some(mut part) = parts.pop_front() {
            if part.is_empty() {
                continue;
            }
            match self.commit(&part).await {
                Ok(verdicts) => {
                    telemetry::ledger_verdicts(
                        part.iter().zip(&verdicts).map(|(order, verdict)| (order.kind(), verdict.as_str())),
                    );
                    for (order, verdict) in part.into_iter().zip(verdicts) {
                        order.answer(Ok(verdict));
                    }
                }
                Err(Failed { error, unclear: None }) if is_in_the_batch(&error) && part.len() > 1 => {
                    telemetry::ledger_bisected(part.len(), &error);
                    let second = part.split_off(part.len() / 2);
                    parts.push_front(second);
                    parts.push_front(part);
                }
                Err(Failed { error, unclear }) => {
                    let is_unclear = unclear.is_some();
                    telemetry::ledger_failed(part.len(), is_unclear, &error);
                    let error = Arc::new(error);
                    for order in part {
                        order.answer(Err(SubmitError::of(&error, is_unclear)));
                    }
                }
            }
        }
    }

    /// Commits, trying again while that may help. Once a commit was not answered, only a look at the rows tells.
    async fn commit(&self, batch: &[Order<R::Row>]) -> Result<Vec<Verdict>, Failed> {
        let (mut backoff, mut tries_left, mut unclear) = (FIRST_BACKOFF, TRIES, None);
        loop {
            let started = Instant::now();
            match self.try_commit(batch, &unclear).await {
                Ok(verdicts) => {
                    telemetry::ledger_batch(batch.len(), started.elapsed());
                    return Ok(verdicts);
                }
                Err(failed) => {
                    let is_passing = failed.error.is_transient() || failed.unclear.is_some();
                    unclear = failed.unclear.or(unclear);
                    tries_left = tries_left.saturating_sub(1);
                    if tries_left == 0 || !is_passing {
                        return Err(Failed { error: failed.error, unclear });
                    }
                    telemetry::ledger_retry(&failed.error, tries_left);
                    tokio::time::sleep(backoff).await;
                    backoff = backoff.saturating_mul(2);
                }
            }
        }
    }

    /// One transaction. `unclear` is what the try before would have answered: if any of it is in the rows, it happened.
    /// Applying waits for the locks of that try, so that afterwards it cannot happen any more.
    async fn try_commit(
        &self,
        batch: &[Order<R::Row>],
        unclear: &Option<Vec<Verdict>>,
    ) -> Result<Vec<Verdict>, Failed> {
        let mut tx = self.store.begin().await?;
        let mut submissions: Vec<Submission> = batch.iter().map(|order| order.submission.clone()).collect();
        riders::lock_in_tx(&self.riders, &mut tx, batch, &mut submissions).await?;
        let verdicts = apply_in_tx(&mut tx, self.stripe, &submissions).await?;
        if let Some(answers) = unclear.as_ref().filter(|_| is_ours(&submissions, &verdicts)) {
            return Ok(answers.clone());
        }
        if !verdicts.iter().any(|verdict| matches!(verdict, Verdict::Applied(_))) {
            // Refusals and repeats leave no trace: there is nothing to commit, and nothing that could be unclear.
            tx.rollback().await.map_err(StoreError::from)?;
            return Ok(verdicts);
        }
        riders::write_in_tx(&self.riders, &mut tx, batch, &verdicts).await?;
        match tx.commit().await {
            Ok(()) => Ok(verdicts),
            Err(error) => Err(Failed { error: error.into(), unclear: Some(verdicts) }),
        }
    }
}

/// Whether a part of the batch may fare better: it does not hold what the database refuses, or is not too much at a time.
const fn is_in_the_batch(error: &StoreError) -> bool {
    matches!(error, StoreError::TimedOut(_)) || !error.is_transient()
}

/// Whether any of it was applied before under the very ids of these submissions.
fn is_ours(submissions: &[Submission], verdicts: &[Verdict]) -> bool {
    submissions.iter().zip(verdicts).any(|(submission, verdict)| {
        matches!(verdict, Verdict::Duplicate(posted) if posted.transaction_id == submission.transaction_id)
    })
}
