//! Every change of a job goes through here: lock the row, let the rules decide, write state, history, ledger and
//! closing entry in one transaction, then tell whoever waits.

use ailayer_primitives::{AmountMsat, JobId};
use ailayer_receipt::EnvelopeError;
use ailayer_store::{Store, StoreError, Tx, outbox};
use thiserror::Error;
use uuid::Uuid;

use crate::crash_points::{self, CrashPoints};
use crate::domain::job::{Context, Effect, Input, Outcome, Refused, Rules, State, Transition};
use crate::domain::keys::Keys;
use crate::domain::ledger::sale::{self, SaleError};
use crate::domain::ledger::{Operation, OperationError, Stripe, Verdict, prepaid};
use crate::domain::statements::sign_closing;
use crate::signals::Signals;
use crate::store::suspense::{self, Source};
use crate::store::transitions::{Facts, write_in_tx};
use crate::store::{JobRecord, PrepaidTerms, api_keys, jobs, ledger};
use crate::telemetry;

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
    /// The row changed under a lock. It cannot happen, and nothing was written.
    #[error("job {0} changed while it was locked")]
    Raced(JobId),
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
#[derive(Clone, Debug)]
pub struct Jobs {
    store: Store,
    keys: Keys,
    rules: Rules,
    signals: Signals,
    crash_points: CrashPoints,
}

impl Jobs {
    /// Changes the jobs of `store` by `rules`.
    pub fn new(store: Store, keys: Keys, rules: Rules, signals: Signals, crash_points: CrashPoints) -> Self {
        Self { store, keys, rules, signals, crash_points }
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The limits in force.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What the rules look at, for a job as it was read.
    pub fn context(&self, record: &JobRecord, tip_height: Option<u32>) -> Context {
        Context { now: record.now, tip_height, rules: self.rules }
    }

    /// Applies an input. Durable and announced when this returns.
    pub async fn apply(
        &self,
        job_id: JobId,
        input: Input,
        tip_height: Option<u32>,
        facts: Facts,
    ) -> Result<Changed, ChangeError> {
        let mut tx = self.store.begin().await?;
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
        mut facts: Facts,
    ) -> Result<Changed, ChangeError> {
        let before = jobs::lock_in_tx(tx, job_id).await?.ok_or(ChangeError::Unknown(job_id))?;
        let transition = before.job.decide(input, &self.context(&before, tip_height))?;
        if !transition.is_change() {
            return Ok(Changed { record: before, transition });
        }
        for effect in &transition.effects {
            match *effect {
                Effect::PostSettlement { amount } => {
                    facts.taken = Some(amount);
                    let beyond = amount.checked_sub(before.job.price).unwrap_or(AmountMsat::ZERO);
                    if beyond > AmountMsat::ZERO {
                        let note = "paid beyond the price";
                        suspense::insert_in_tx(tx, Source::Job, job_id.uuid(), beyond, note).await?;
                    }
                    post_in_tx(tx, job_id, sale::settled(job_id, before.job.price, amount)?).await?;
                }
                Effect::PostWriteOff => {
                    post_in_tx(tx, job_id, sale::lost(job_id, before.job.price)?).await?;
                }
                Effect::Capture { amount } => {
                    facts.taken = Some(amount);
                    let account = payer(&before)?.account;
                    // The key before the accounts: the order in which new jobs lock them.
                    give_back_in_tx(tx, &before, before.job.price.checked_sub(amount).ok()).await?;
                    post_in_tx(tx, job_id, prepaid::capture(account, job_id, amount)?).await?;
                }
                Effect::Void => {
                    give_back_in_tx(tx, &before, Some(before.job.price)).await?;
                    post_in_tx(tx, job_id, prepaid::void(payer(&before)?.account, job_id)?).await?;
                }
                Effect::AppendClosing { outcome } => {
                    facts.closing = self.enqueue_closing_in_tx(tx, &before, outcome, facts.taken).await?;
                }
                // Calls: made by the driver, which finds them by the job's state.
                Effect::RunModel { .. }
                | Effect::AppendReceipt
                | Effect::ClaimInvoice
                | Effect::ReleaseInvoice { .. } => {}
            }
        }
        if transition.to != State::Completed {
            // An answer that came too late is not kept.
            facts.answer = None;
        }
        let record =
            write_in_tx(tx, &before, &transition, &facts).await?.ok_or(ChangeError::Raced(job_id))?;
        Ok(Changed { record, transition })
    }

    /// Signs the closing entry and hands it to the outbox.
    ///
    /// Also when it is not known whether the receipt was logged: an entry about a receipt that is not there harms nobody,
    /// a logged receipt without its ending does.
    async fn enqueue_closing_in_tx(
        &self,
        tx: &mut Tx,
        before: &JobRecord,
        outcome: Outcome,
        taken: Option<AmountMsat>,
    ) -> Result<Option<String>, ChangeError> {
        let Some(receipt) = before.receipt.as_deref() else { return Ok(None) };
        let amount = match outcome {
            Outcome::Settled => taken.or(before.job.charge).unwrap_or(before.job.price),
            Outcome::Voided => AmountMsat::ZERO,
            Outcome::Lost => before.job.price,
        };
        let signer = self.keys.signer();
        let closing =
            sign_closing(signer, before.job_id, receipt, outcome, amount, before.now)?.into_string();
        let key = before.job_id.to_string();
        outbox::enqueue_in_tx(tx, Uuid::now_v7(), CLOSING, &key, closing.as_bytes()).await?;
        Ok(Some(closing))
    }

    /// Tells watchers, the job's driver and the relay about a committed change.
    pub async fn announce(&self, changed: &Changed) {
        if !changed.transition.is_change() {
            return;
        }
        telemetry::job_changed(&changed.record, &changed.transition);
        if let Some(point) = crash_point(changed.transition.to) {
            self.crash_points.pass(point).await;
        }
        self.signals.job_changed(changed.record.job_id);
        if changed.record.closing.is_some() {
            self.signals.relay();
        }
    }
}

/// Who pays a prepaid job.
fn payer(before: &JobRecord) -> Result<PrepaidTerms, ChangeError> {
    let corrupt = || StoreError::Corrupt(format!("prepaid job {} has no account", before.job_id));
    Ok(before.prepaid.ok_or_else(corrupt)?)
}

/// What was set aside and not used does not count against the key's limit any more.
async fn give_back_in_tx(
    tx: &mut Tx,
    before: &JobRecord,
    unused: Option<AmountMsat>,
) -> Result<(), ChangeError> {
    let (Some(unused), Some(hold)) = (unused, before.job.hold) else { return Ok(()) };
    if unused > AmountMsat::ZERO {
        api_keys::give_back_in_tx(tx, payer(before)?.key_id, unused, hold.accepted_at).await?;
    }
    Ok(())
}

/// The one transaction that ends a job in the books. The job's row is locked, and its accounts are locked behind it.
async fn post_in_tx(tx: &mut Tx, job_id: JobId, end: Operation) -> Result<(), ChangeError> {
    match ledger::apply_one_in_tx(tx, Stripe::of_job(job_id), end).await? {
        Verdict::Applied(_) => Ok(()),
        verdict => Err(ChangeError::NotPosted(job_id, verdict)),
    }
}

/// The point behind the write of a state.
const fn crash_point(state: State) -> Option<&'static str> {
    match state {
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
