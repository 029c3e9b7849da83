//! Drives one job as far as it goes, by its state alone: so a new driver continues wherever another one died.
//!
//! | state | step | module |
//! |---|---|---|
//! | HELD, RUNNING | begin an attempt, run the model, store answer and receipt; seal the answer | [`run`], [`seal`] |
//! | COMPLETED | append the receipt, wait for a sealed answer to be acknowledged, authorise the claim | [`settle`] |
//! | TAKING | ask for the money; the event settles | [`settle`] |
//! | RELEASING | have the money given back | [`release`] |
//!
//! Before each step the rules say whether time has run out.

mod release;
mod run;
mod seal;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use ailayer_client::CallError;
use ailayer_primitives::JobId;
use ailayer_receipt::answer::Answer;
use ailayer_store::StoreError;
use thiserror::Error;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::admission::Admission;
use crate::audit_log::Log;
use crate::brakes::Brakes;
use crate::crash_points::CrashPoints;
use crate::domain::job::{Input, Rail, Refused, State};
use crate::domain::keys::Keys;
use crate::domain::order::JobInput;
use crate::jobs::{ChangeError, Jobs};
use crate::ports::{Payments, Serving};
use crate::signals::Signals;
use crate::store::clock::Clock;
use crate::store::transitions::Facts;
use crate::store::{JobRecord, Pool, jobs, leases};
use crate::telemetry;

/// How long a failed step waits for its first repetition; doubled with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Failures in a row after which the driver turns to other jobs.
const PATIENCE: u32 = 4;
/// How long the job rests then.
const REST: Duration = Duration::from_secs(1);

/// What came of a step.
#[derive(Debug)]
enum Next {
    /// Look at the job again at once.
    Again,
    /// The job has changed, and is like this now.
    Changed(Box<JobRecord>),
    /// Nothing to do before so much time has passed, or something happens to the job.
    Rest(Duration),
    /// The step failed in a way that time may mend.
    Retry,
    /// The job needs no driver any more.
    Done,
}

/// Why driving a job ends.
#[derive(Debug)]
enum Stop {
    /// It has ended. Whoever wrote that has ended its lease, too.
    Ended(Box<JobRecord>),
    /// It rests: due again after so long, unless it has changed since that version.
    Rests(u64, Duration),
    /// Nothing is known about it.
    Lost,
}

/// A step that could not be made.
#[derive(Debug, Error)]
enum StepError {
    #[error(transparent)]
    Change(#[from] ChangeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Drives jobs. Cloned freely.
#[derive(Clone)]
pub struct Driver {
    /// Changes jobs.
    pub jobs: Jobs,
    /// Tells the time of what is written down.
    pub clock: Clock,
    /// Signs receipts.
    pub keys: Keys,
    /// Runs models.
    pub serving: Arc<dyn Serving>,
    /// Keeps the money.
    pub payments: Arc<dyn Payments>,
    /// Keeps the receipts.
    pub log: Log,
    /// The network money moves on.
    pub network: ailayer_primitives::Network,
    /// The largest answer that is kept, bytes of its numbers or tensors.
    pub max_output_bytes: u32,
    /// How long a lease lasts unless it is renewed.
    pub lease: Duration,
    /// How long after a claim was asked for it is asked for again, if no event has come.
    pub claim_again: Duration,
    /// What operators have stopped.
    pub brakes: Brakes,
    /// Learns whether models take more.
    pub admission: Admission,
    /// Tells when a job has changed.
    pub signals: Signals,
    /// Where simulations halt.
    pub crash_points: CrashPoints,
}

impl Driver {
    /// Drives a job whose lease is `owner`'s, until it rests or ends, and gives the lease back. An owner is one driving of jobs,
    /// not one process: a lease that lapsed and was taken again here is another's, too.
    ///
    /// Dropping this at any point is like a crash: the job is found again when the lease has lapsed. Model, log and money
    /// are one trace.
    pub async fn drive(&self, job_id: JobId, owner: Uuid) {
        let span = tracing::info_span!(parent: None, "drive_job", %job_id);
        self.leased(job_id, owner, self.steps(job_id, Next::Again)).instrument(span).await;
    }

    /// Drives a prepaid job whose first attempt this replica has begun just now, as [`Self::drive`] would. If the job comes to
    /// its end by that, answers how it ended, and the answer if there is one.
    pub async fn drive_begun(
        &self,
        running: JobRecord,
        input: JobInput,
        owner: Uuid,
    ) -> Option<(JobRecord, Option<Answer>)> {
        let job_id = running.job_id;
        let span = tracing::info_span!("drive_job", %job_id);
        let mut answer = None;
        let steps = async {
            let next = match self.attempt(&running, Some(input), Look::Later).await {
                Ok(done) => {
                    let next = self.complete(&running, &done, None).await;
                    answer = Some(done.answer);
                    next
                }
                Err(failed) => self.not_answered(&running, failed).await,
            };
            self.steps(job_id, self.or_retry(job_id, next)).await
        };
        let ended = self.leased(job_id, owner, steps).instrument(span).await?;
        // Another attempt may have answered.
        let answer = answer.filter(|_| ended.job.attempt == running.job.attempt);
        Some((ended, answer))
    }

    /// Steps under a lease, and how the job ended if they have ended it.
    async fn leased(
        &self,
        job_id: JobId,
        owner: Uuid,
        steps: impl Future<Output = Stop>,
    ) -> Option<JobRecord> {
        let stop = tokio::select! {
            biased;
            stop = steps => stop,
            () = self.keep_lease(job_id, owner) => {
                tracing::warn!(%job_id, "another driver has taken the job over");
                return None;
            }
        };
        let rest = match stop {
            Stop::Ended(record) => return Some(*record),
            Stop::Rests(version, rest) => Some((version, rest)),
            Stop::Lost => None,
        };
        if let Err(error) = leases::give_back(self.pool(), job_id, owner, rest).await {
            telemetry::step_failed(job_id, "give_back_lease", &error);
        }
        None
    }

    /// Steps until the job rests or ends, the first of them after `next`.
    async fn steps(&self, job_id: JobId, mut next: Next) -> Stop {
        let (mut failures, mut known) = (0u32, None);
        loop {
            let record = match next {
                Next::Again => None,
                Next::Changed(record) => Some(*record),
                Next::Done => return known.map_or(Stop::Lost, |record| Stop::Ended(Box::new(record))),
                Next::Rest(rest) => return rests(known, rest),
                Next::Retry if failures >= PATIENCE => return rests(known, REST),
                Next::Retry => {
                    tokio::time::sleep(FIRST_WAIT.saturating_mul(2u32.saturating_pow(failures))).await;
                    failures = failures.saturating_add(1);
                    None
                }
            };
            let record = match record {
                Some(record) => record,
                None => match jobs::by_id(self.pool(), job_id).await {
                    Ok(Some(record)) => record,
                    Ok(None) => return Stop::Lost,
                    Err(error) => {
                        telemetry::step_failed(job_id, "load", &error);
                        return Stop::Lost;
                    }
                },
            };
            next = self.or_retry(job_id, self.step(&record).await);
            if matches!(next, Next::Again | Next::Changed(_)) {
                failures = 0;
            }
            known = Some(record);
        }
    }

    fn or_retry(&self, job_id: JobId, next: Result<Next, StepError>) -> Next {
        next.unwrap_or_else(|error| {
            telemetry::step_failed(job_id, "write", &error);
            Next::Retry
        })
    }

    async fn step(&self, record: &JobRecord) -> Result<Next, StepError> {
        let tick = record.job.decide(Input::Tick, &self.jobs.context(record, None));
        if tick.is_ok_and(|transition| transition.is_change()) {
            return self.apply(record, Input::Tick, None, Facts::default()).await;
        }
        match record.job.state {
            State::Quoted => Ok(Next::Rest(Duration::from_millis(
                record.job.expiry.0.saturating_sub(self.jobs.time_for(record).0).saturating_add(1),
            ))),
            State::Held | State::Running => self.run(record).await,
            State::Completed => self.deliver(record).await,
            State::Taking => Ok(self.claim(record).await),
            State::Releasing => self.release(record).await,
            State::Settled | State::Lost | State::Failed | State::Canceled | State::Expired => Ok(Next::Done),
        }
    }

    /// Applies an input; a stale one means that somebody else was faster, and the job is looked at again.
    async fn apply(
        &self,
        record: &JobRecord,
        input: Input,
        tip_height: Option<u32>,
        facts: Facts,
    ) -> Result<Next, StepError> {
        let changed = match record.job.rail {
            // The money is our own: no deadline of somebody else's is to be held against a clock that was read under a lock.
            Rail::Prepaid => {
                let now = self.clock.now().await?.max(record.now);
                self.jobs.apply_to(JobRecord { now, ..record.clone() }, input, facts).await
            }
            Rail::Hold => self.jobs.apply(record.job_id, input, tip_height, facts).await,
        };
        match changed {
            Ok(changed) if changed.transition.is_change() => Ok(Next::Changed(Box::new(changed.record))),
            Ok(_) | Err(ChangeError::Refused(Refused::Stale(_)) | ChangeError::Raced(_)) => Ok(Next::Again),
            Err(ChangeError::Refused(Refused::TipUnknown)) => Ok(Next::Retry),
            Err(error) => Err(error.into()),
        }
    }

    /// The node's tip; none while it is unreachable or not in sync, because an old tip proves nothing.
    async fn tip(&self) -> Option<u32> {
        let node: Result<_, CallError> = self.payments.node().await;
        telemetry::dependency("payment", node.as_ref().map(drop));
        node.ok().filter(|node| node.synced).and_then(|node| node.tip).map(|tip| tip.height)
    }

    /// Ends when the lease is lost.
    async fn keep_lease(&self, job_id: JobId, owner: Uuid) {
        loop {
            tokio::time::sleep(self.lease / 3).await;
            match leases::renew(self.pool(), job_id, owner, self.lease).await {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => telemetry::step_failed(job_id, "renew_lease", &error),
            }
        }
    }

    /// Ends when the job is no longer at `version`.
    async fn changed_since(&self, job_id: JobId, version: u64, look: Look) {
        let mut changes = self.signals.watch(job_id);
        if look == Look::Later {
            let _ = tokio::time::timeout(self.lease / 3, changes.next()).await;
        }
        loop {
            if let Ok(Some(record)) = jobs::by_id(self.pool(), job_id).await
                && record.version != version
            {
                return;
            }
            // Another replica's change is noticed by polling.
            let _ = tokio::time::timeout(self.lease / 3, changes.next()).await;
        }
    }

    fn pool(&self) -> &Pool {
        self.jobs.store().pool()
    }
}

/// When it is first looked whether a job has changed that was read a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// At once.
    Now,
    /// At the first signal: nobody has heard of the job yet.
    Later,
}

/// Without a look at the job nothing is said about when it is due: it is due at once.
fn rests(known: Option<JobRecord>, rest: Duration) -> Stop {
    known.map_or(Stop::Lost, |record| Stop::Rests(record.version, rest))
}
