//! Every change of a job goes through here: let the rules decide, write state, history, ledger and closing entry in one
//! transaction, then tell whoever waits.
//!
//! | way | decides on | commits |
//! |---|---|---|
//! | [`Jobs::apply`], [`Jobs::apply_in_tx`] | the locked row | in a transaction of its own, or the caller's |
//! | [`Jobs::apply_to`] | the row as it was read, and writes only if it still is | with whatever else the ledger's writer has |

mod plan;
mod rows;

use std::sync::Arc;

use ailayer_primitives::{JobId, UnixMs};
use ailayer_receipt::EnvelopeError;
use ailayer_store::{Store, StoreError, Tx, outbox};
use thiserror::Error;
use uuid::Uuid;

pub use rows::{JobRow, JobRows};

use crate::crash_points::{self, CrashPoints};
use crate::domain::job::{Context, Input, Mark, Refused, Rules, State, Transition};
use crate::domain::keys::Keys;
use crate::domain::ledger::sale::SaleError;
use crate::domain::ledger::{Operation, OperationError, Refusal, Stripe, Verdict};
use crate::ports::Books;
use crate::signals::Signals;
use crate::store::clock::Clock;
use crate::store::suspense::{self, Source};
use crate::store::transitions::{self, Facts};
use crate::store::{JobRecord, jobs, ledger, spending};
use crate::tasks::write_ledger::SubmitError;
use crate::telemetry;
use plan::Plan;

/// The kind of outbox items that carry closing entries; their key is the job's id.
pub const CLOSING: &str = "closing";

/// Why a job was not changed.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// There is no such job.
    #[error("no job {0}")]
    Unknown(JobId),
    /// The rules refuse.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The row is not as the change was decided on: something else was faster, and nothing was written.
    #[error("job {0} has changed meanwhile")]
    Raced(JobId),
    /// The ledger's writer did not take it.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A closing entry cannot be signed.
    #[error("the closing entry cannot be signed")]
    Closing(#[from] EnvelopeError),
    /// The money does not add up.
    #[error(transparent)]
    Sale(#[from] SaleError),
    /// The end of the job is no operation of the ledger.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The ledger does not take the end of the job.
    #[error("the end of job {0} cannot be posted: {1:?}")]
    NotPosted(JobId, Verdict),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A decided input.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The job as it is now.
    pub record: JobRecord,
    /// What was decided; not a change if nothing had to move.
    pub transition: Transition,
}

/// Changes jobs. Cloned freely.
#[derive(Clone)]
pub struct Jobs {
    store: Store,
    keys: Keys,
    rules: Rules,
    signals: Signals,
    crash_points: CrashPoints,
    books: Arc<dyn Books>,
    clock: Clock,
}

impl Jobs {
    /// Changes the jobs of `store` by `rules`, many at a time by `books`.
    pub fn new(
        store: Store,
        keys: Keys,
        rules: Rules,
        signals: Signals,
        crash_points: CrashPoints,
        books: Arc<dyn Books>,
    ) -> Self {
        let clock = Clock::new(store.pool().clone());
        Self { store, keys, rules, signals, crash_points, books, clock }
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The limits in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Tells the time of what is written down.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What the rules look at, for a job as it was read.
    pub fn context(&self, record: &JobRecord, tip_height: Option<u32>) -> Context {
        Context { now: self.time_for(record), tip_height, rules: self.rules }
    }

    /// What time it was for a job when it was read: by the database's clock, unless that has jumped ahead since the time that the
    /// job's present limit counts from.
    pub fn time_for(&self, record: &JobRecord) -> UnixMs {
        let job = &record.job;
        let counts_from = match job.state {
            State::Quoted => Some(record.created_at),
            State::Held | State::Running => job.hold.map(|hold| hold.accepted_at),
            State::Completed => job.seal.and_then(|seal| seal.appended_at).or(job.completed_at),
            _ => None,
        };
        self.clock.time_for(record.now, counts_from.unwrap_or(record.updated_at))
    }

    /// Applies an input. Durable and announced when this returns.
    pub async fn apply(
        &self,
        job_id: JobId,
        input: Input,
        tip_height: Option<u32>,
        facts: Facts,
    ) -> Result<Changed, ChangeError> {
        let mut tx = ledger::begin(&self.store).await?;
        let changed = self.apply_in_tx(&mut tx, job_id, input, tip_height, facts).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.announce(&changed).await;
        Ok(changed)
    }

    /// Applies an input in a transaction of the caller's, who commits and then calls [`Self::announce`].
    pub async fn apply_in_tx(
        &self,
        tx: &mut Tx,
        job_id: JobId,
        input: Input,
        tip_height: Option<u32>,
        facts: Facts,
    ) -> Result<Changed, ChangeError> {
        let before = jobs::lock_in_tx(tx, job_id).await?.ok_or(ChangeError::Unknown(job_id))?;
        let transition = before.job.decide(input, &self.context(&before, tip_height))?;
        if !transition.is_change() {
            return Ok(Changed { record: before, transition });
        }
        let plan = Plan::new(&self.keys, before, &transition, facts)?;
        if let Some(surplus) = plan.surplus {
            suspense::insert_in_tx(tx, Source::Job, job_id.uuid(), surplus, "paid beyond the price").await?;
        }
        // What limits spending before the accounts: the order in which new jobs lock them.
        spending::give_back_in_tx(tx, plan.unused.as_slice()).await?;
        if let Some(posting) = plan.posting.clone() {
            post_in_tx(tx, job_id, posting).await?;
        }
        enqueue_closings_in_tx(tx, &[&plan]).await?;
        if transitions::write_in_tx(tx, &[plan.change()]).await? == 0 {
            return Err(ChangeError::Raced(job_id));
        }
        Ok(Changed { record: plan.after, transition })
    }

    /// Applies an input to a job as it was read, in a commit that it shares with others. Durable and announced when this returns.
    ///
    /// For inputs that look at no tip: nothing is asked of the chain behind the lock.
    ///
    /// # Errors
    /// `Raced` if the row has moved on: read it again. `Submit` when it may or may not have happened: the row tells.
    pub async fn apply_to(
        &self,
        record: JobRecord,
        input: Input,
        facts: Facts,
    ) -> Result<Changed, ChangeError> {
        let transition = record.job.decide(input, &self.context(&record, None))?;
        if !transition.is_change() {
            return Ok(Changed { record, transition });
        }
        let plan = Plan::new(&self.keys, record, &transition, facts)?;
        let changed = Changed { record: plan.after.clone(), transition };
        self.write(plan).await?;
        self.announce(&changed).await;
        Ok(changed)
    }

    async fn write(&self, plan: Plan) -> Result<(), ChangeError> {
        let (job_id, posting) = (plan.before.job_id, plan.posting.clone());
        let row = JobRow::change(plan);
        let Some(posting) = posting else {
            let written = self.books.write(row).await?;
            return if written { Ok(()) } else { Err(ChangeError::Raced(job_id)) };
        };
        match self.books.apply(posting, row).await? {
            Verdict::Applied(_) => Ok(()),
            // The job has ended by another change.
            Verdict::Refused(Refusal::Moved) | Verdict::Duplicate(_) => Err(ChangeError::Raced(job_id)),
            verdict => Err(ChangeError::NotPosted(job_id, verdict)),
        }
    }

    /// Tells watchers, the job's driver and the relay about a committed change.
    pub async fn announce(&self, changed: &Changed) {
        if !changed.transition.is_change() {
            return;
        }
        telemetry::job_changed(&changed.record, &changed.transition);
        if let Some(point) = crash_point(&changed.transition) {
            self.crash_points.pass(point).await;
        }
        self.signals.job_changed(changed.record.job_id);
        if changed.record.closing.is_some() {
            self.signals.relay();
        }
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jobs").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// Hands closing entries to the outbox.
async fn enqueue_closings_in_tx(tx: &mut Tx, plans: &[&Plan]) -> Result<(), StoreError> {
    let keyed = plans.iter().filter_map(|plan| Some((plan, plan.facts.closing.as_deref()?)));
    let items: Vec<outbox::NewItem> = keyed
        .map(|(plan, closing)| outbox::NewItem {
            id: Uuid::now_v7(),
            kind: CLOSING,
            key: plan.before.job_id.to_string(),
            payload: closing.as_bytes().to_vec(),
        })
        .collect();
    outbox::enqueue_in_tx(tx, &items).await
}

/// The one transaction that ends a job in the books. The job's row is locked, and its accounts are locked behind it.
async fn post_in_tx(tx: &mut Tx, job_id: JobId, end: Operation) -> Result<(), ChangeError> {
    match ledger::apply_one_in_tx(tx, Stripe::of_job(job_id), end).await? {
        Verdict::Applied(_) => Ok(()),
        verdict => Err(ChangeError::NotPosted(job_id, verdict)),
    }
}

/// The point behind the write of a state, or of what is noted in one.
const fn crash_point(transition: &Transition) -> Option<&'static str> {
    match transition.mark {
        Some(Mark::Appended) => return Some(crash_points::APPEND_NOTED),
        Some(Mark::Acknowledged) => return Some(crash_points::ACKNOWLEDGED),
        None => {}
    }
    match transition.to {
        State::Quoted => None,
        State::Held => Some(crash_points::HELD),
        State::Running => Some(crash_points::RUNNING),
        State::Completed => Some(crash_points::COMPLETED),
        State::Taking => Some(crash_points::TAKING),
        State::Settled | State::Lost => Some(crash_points::SETTLED),
        State::Releasing => Some(crash_points::RELEASING),
        State::Failed | State::Canceled | State::Expired => Some(crash_points::RELEASED),
    }
}
