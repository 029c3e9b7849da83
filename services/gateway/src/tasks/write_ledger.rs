//! The coalescing writer of the ledger.
//!
//! It gathers whatever waits while the previous commit runs and writes it as one transaction, answering each operation as if
//! it had been applied alone and in its turn. Any number of writers may work on one database: each posts to house accounts
//! of its own, and the rest is locked in order. Nothing is kept here that a restart would miss: what is remembered of the
//! last batches ([`crate::store::ledger::recall`]) is compared with the rows by the write itself.
//!
//! - An operation that the database refuses, or takes too long over, is found by halving the batch; its neighbours are
//!   written.
//! - After a commit that was not answered the batch is applied again, under locks, and what the first attempt has applied is known
//!   by its request ids. The locks wait for the end of a transaction. A single statement may still be on its way, and come after:
//!   it is refused then, see `try_commit`.
//! - An operation whose caller went away is written all the same.
//! - Rows of other tables ride along ([`riders`]), with an operation or alone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_platform::tasks::Shutdown;
use ailayer_store::{KeptConn, Store, StoreError, Tx};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::domain::ledger::{Stripe, Verdict};
use crate::store::ledger::{self, Applied, Decision, Recall, Submission, apply_locked_in_tx, write_recalled};
use crate::telemetry::{self, Decided};

mod queue;
mod riders;

use queue::{Answer, Order};
pub use queue::{LedgerHandle, SubmitError, WriterLimits};
pub use riders::{Fit, NoRiders, Rider, Riders};

/// How often a batch is tried before its callers are told that the database does not answer.
const TRIES: u32 = 4;
/// Wait before the second try; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);

/// One for what is a statement alone, one for transactions, and one while the other is on its way back.
const CONNECTIONS: u32 = 3;
/// How long closing them may take: everybody has been answered, and a server that hangs is not waited for.
const CLOSING: Duration = Duration::from_secs(2);

/// The task's state.
pub struct LedgerWriter<R: Riders = NoRiders> {
    store: Store,
    /// For what is a statement alone.
    conn: KeptConn,
    riders: R,
    stripe: Stripe,
    limits: WriterLimits,
    queue: mpsc::Receiver<Order<R::Row>>,
    recall: Recall,
}

/// A try that failed.
struct Failed {
    error: StoreError,
    /// What would be answered if the commit happened: it was asked for, and not answered.
    unclear: Option<Vec<Answer>>,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self { error, unclear: None }
    }
}

impl<R: Riders> LedgerWriter<R> {
    /// Prepares a writer on the database of `store`, to which it has two connections of its own. What rides with operations is written
    /// by `riders`.
    pub fn new(store: &Store, riders: R, limits: WriterLimits) -> (Self, LedgerHandle<R::Row>) {
        let (handle, queue) = queue::new(limits);
        let stripe = Stripe::of_writer(Uuid::new_v4());
        let store = store.with_settings(CONNECTIONS, &ledger::SETTINGS);
        (
            Self {
                store,
                conn: KeptConn::default(),
                riders,
                stripe,
                limits,
                queue,
                recall: Recall::default(),
            },
            handle,
        )
    }

    /// Writes until the shutdown, then what still waits; closes its connections.
    pub async fn run(mut self, shutdown: Shutdown) {
        self.write_all(shutdown).await;
        self.conn.close().await;
        let _ = tokio::time::timeout(CLOSING, self.store.close()).await;
    }

    async fn write_all(&mut self, shutdown: Shutdown) {
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
    async fn write(&mut self, batch: Vec<Order<R::Row>>) {
        let mut parts = VecDeque::from([batch]);
        while let Some(mut part) = parts.pop_front() {
            if part.is_empty() {
                continue;
            }
            match self.commit(&part).await {
                Ok(answers) => {
                    telemetry::ledger_verdicts(
                        part.iter().zip(&answers).map(|(order, answer)| (order.kind(), answer.as_str())),
                    );
                    for (order, answer) in part.into_iter().zip(answers) {
                        order.answer(Ok(answer));
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
    async fn commit(&mut self, batch: &[Order<R::Row>]) -> Result<Vec<Answer>, Failed> {
        let (mut backoff, mut tries_left, mut unclear) = (FIRST_BACKOFF, TRIES, None);
        loop {
            let started = Instant::now();
            match self.try_commit(batch, &unclear).await {
                Ok(answers) => {
                    telemetry::ledger_batch(batch.len(), started.elapsed());
                    return Ok(answers);
                }
                Err(failed) => {
                    self.recall.forget_all();
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

    /// One transaction, or two if the first was decided from memory in vain. `unclear` is what the try before would have answered:
    /// if any of it is in the rows, it happened. If nothing is, it cannot happen any more:
    /// - of a transaction, because applying waits for its locks;
    /// - of a statement that comes late, because all of it is compared first. If this try applies anything, the statement's accounts have
    ///   moved on; if this try applies nothing, the rows were not as the statement was decided on, and versions never fall. Time makes no
    ///   difference, for what is decided from memory does not look at it.
    ///
    /// What is unclear is never decided from memory.
    async fn try_commit(
        &mut self,
        batch: &[Order<R::Row>],
        unclear: &Option<Vec<Answer>>,
    ) -> Result<Vec<Answer>, Failed> {
        let mut decision = match unclear {
            None => self.recall.decide(self.stripe, asked(batch)),
            Some(_) => None,
        };
        if batch.iter().all(|order| order.rider.is_none())
            && let Some(decision) = decision.take()
            && let Some(answers) = self.write_alone(batch, decision).await?
        {
            return Ok(answers);
        }
        let mut tx = self.store.begin().await?;
        let mut fits = riders::lock_in_tx(&self.riders, &mut tx, batch).await?;
        if let Some(decision) = decision.filter(|_| fits.iter().all(|fit| *fit == Fit::Fits)) {
            if let Some(applied) = write_recalled(&mut tx, decision).await? {
                let answers = answers(batch, &fits, &applied.verdicts)?;
                return self.finish(tx, batch, applied, answers, Decided::Recalled).await;
            }
            self.moved(batch);
            tx.rollback().await.map_err(StoreError::from)?;
            tx = self.store.begin().await?;
            fits = riders::lock_in_tx(&self.riders, &mut tx, batch).await?;
        }
        let submissions = submissions(batch, &fits);
        let applied = apply_locked_in_tx(&mut tx, self.stripe, &submissions).await?;
        let answers = answers(batch, &fits, &applied.verdicts)?;
        let is_ours = is_ours(&submissions, &applied.verdicts) || is_written(batch, &fits);
        if let Some(unclear) = unclear.as_ref().filter(|_| is_ours) {
            return Ok(batch.iter().zip(unclear).zip(answers).map(as_it_happened).collect());
        }
        if !answers.iter().any(Answer::writes) {
            // Refusals and repeats leave no trace: there is nothing to commit, and nothing that could be unclear.
            tx.rollback().await.map_err(StoreError::from)?;
            return Ok(answers);
        }
        self.finish(tx, batch, applied, answers, Decided::Locked).await
    }

    /// A batch that is one statement is a transaction by itself, in one round trip. None if it was decided in vain.
    async fn write_alone(
        &mut self,
        batch: &[Order<R::Row>],
        decision: Decision,
    ) -> Result<Option<Vec<Answer>>, Failed> {
        let fits = vec![Fit::Fits; batch.len()];
        let would_be = answers(batch, &fits, &decision.verdicts)?;
        let mut conn = self.conn.take(&self.store).await?;
        let applied = match write_recalled(&mut conn, decision).await {
            Ok(applied) => applied,
            Err(error) => {
                ailayer_store::discard(conn);
                let unclear = (!error.is_refusal()).then_some(would_be);
                return Err(Failed { error, unclear });
            }
        };
        self.conn.put(conn);
        let Some(applied) = applied else {
            self.moved(batch);
            return Ok(None);
        };
        self.recall.remember(&applied);
        telemetry::ledger_decided(Decided::Recalled);
        Ok(Some(answers(batch, &fits, &applied.verdicts)?))
    }

    /// Others have changed what was decided on.
    fn moved(&mut self, batch: &[Order<R::Row>]) {
        telemetry::ledger_decided(Decided::Moved);
        self.recall.forget(self.stripe, asked(batch));
    }

    /// Writes what rides, and commits.
    async fn finish(
        &mut self,
        mut tx: Tx,
        batch: &[Order<R::Row>],
        applied: Applied,
        answers: Vec<Answer>,
        decided: Decided,
    ) -> Result<Vec<Answer>, Failed> {
        riders::write_in_tx(&self.riders, &mut tx, batch, &answers).await?;
        if let Err(error) = tx.commit().await {
            return Err(Failed { error: error.into(), unclear: Some(answers) });
        }
        self.recall.remember(&applied);
        telemetry::ledger_decided(decided);
        Ok(answers)
    }
}

/// The operations of a batch, as they were asked for.
fn asked<Row>(batch: &[Order<Row>]) -> impl Iterator<Item = &Submission> + Clone {
    batch.iter().filter_map(|order| order.submission.as_ref())
}

/// The operations of a batch. One whose change does not fit may not be applied any more.
fn submissions<Row>(batch: &[Order<Row>], fits: &[Fit]) -> Vec<Submission> {
    let submission = |(order, fit): (&Order<Row>, &Fit)| {
        let submission = order.submission.clone()?;
        Some(Submission { may_apply: *fit == Fit::Fits, ..submission })
    };
    batch.iter().zip(fits).filter_map(submission).collect()
}

/// The answers in the order of the batch.
fn answers<Row>(batch: &[Order<Row>], fits: &[Fit], verdicts: &[Verdict]) -> Result<Vec<Answer>, StoreError> {
    let mut verdicts = verdicts.iter().copied();
    let answer = |(order, fit): (&Order<Row>, &Fit)| match &order.submission {
        None => Ok(Answer::Change(*fit)),
        Some(_) => verdicts.next().map(Answer::Operation).ok_or_else(without_verdict),
    };
    batch.iter().zip(fits).map(answer).collect()
}

fn without_verdict() -> StoreError {
    StoreError::Corrupt("an operation without a verdict".to_owned())
}

/// The answer of a try that was not clear and has happened: what it applied is told by the rows, which know the time.
fn as_it_happened<Row>(((order, unclear), now): ((&Order<Row>, &Answer), Answer)) -> Answer {
    match (&order.submission, now) {
        (Some(submission), Answer::Operation(Verdict::Duplicate(posted)))
            if posted.transaction_id == submission.transaction_id =>
        {
            Answer::Operation(Verdict::Applied(posted))
        }
        _ => *unclear,
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

/// Whether any change that rides alone is in its row already.
fn is_written<Row>(batch: &[Order<Row>], fits: &[Fit]) -> bool {
    batch.iter().zip(fits).any(|(order, fit)| order.submission.is_none() && *fit == Fit::Written)
}
