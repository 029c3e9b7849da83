//! Jobs that are paid from a balance: quoted, held and running in one commit, driven here, answered by the same call.

use std::sync::Arc;
use std::time::Duration;

use ailayer_client::CallError;
use ailayer_platform::blocking;
use ailayer_primitives::{AmountMsat, Digest, Network, RequestId, UnixMs};
use ailayer_receipt::EnvelopeError;
use ailayer_receipt::answer::Answer;
use ailayer_receipt::digest::DigestError;
use ailayer_store::{Store, StoreError};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::access::{Access, AccessError};
use crate::admission::AdmissionError;
use crate::brakes::{BrakeError, Brakes};
use crate::crash_points::{self, CrashPoints};

use crate::domain::api_key::{Caller, SpendLimit, Spent};
use crate::domain::job::Job;
use crate::domain::keys::Keys;
use crate::domain::ledger::sale::SaleError;
use crate::domain::ledger::{Refusal, Verdict, prepaid};
use crate::domain::order::{Order, OrderError, OrderLimits};
use crate::domain::price::PriceError;
use crate::driver::Driver;
use crate::jobs::JobRow;
use crate::models::Models;
use crate::ports::Books;
use crate::prices::Prices;
use crate::signals::Signals;
use crate::store::api_keys::KeyRecord;
use crate::store::clock::Clock;
use crate::store::prepaid::NewPrepaidJob;
use crate::store::{self, JobRecord, account_limits, api_keys, jobs};
use crate::tasks::write_ledger::SubmitError;
use crate::telemetry;

mod offer;

/// Why no job begins. Nothing is set aside then.
#[derive(Debug, Error)]
pub enum PrepaidError {
    /// The order breaks a rule.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The same request id was used for another order.
    #[error("this request_id was used for another order")]
    RequestIdReused,
    /// The model has no price.
    #[error("model {0:?} is not for sale")]
    NotForSale(String),
    /// The model is not loaded.
    #[error("model {0:?} is not loaded in that version")]
    NotLoaded(String),
    /// The price is zero or impossible.
    #[error(transparent)]
    Price(#[from] PriceError),
    /// It may cost more than the caller allows.
    #[error("the job costs {price} and may cost at most {limit}")]
    TooExpensive {
        /// What it costs.
        price: AmountMsat,
        /// What the caller allows.
        limit: AmountMsat,
    },
    /// The balance does not cover the cap.
    #[error("the balance does not cover {0}, which the job may cost")]
    InsufficientFunds(AmountMsat),
    /// The account is frozen.
    #[error("the account is frozen")]
    Frozen,
    /// The key has spent what it may in this window.
    #[error("the key has reached its spending limit")]
    SpendLimit,
    /// All keys of the account have spent what they may in this window.
    #[error("the account has reached its spending limit")]
    AccountSpendLimit,
    /// The key's requests or tokens a minute.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// An operator has stopped it.
    #[error(transparent)]
    Brake(#[from] BrakeError),
    /// There is no room for another job.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// Model serving failed.
    #[error("model serving: {0}")]
    Serving(#[source] CallError),
    /// The ledger did not take the reservation.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The ledger refuses for a reason that cannot be.
    #[error("the reservation was refused: {0}")]
    Refused(Refusal),
    /// The amounts are none.
    #[error(transparent)]
    Sale(#[from] SaleError),
    /// The quote cannot be written down.
    #[error("the quote cannot be signed")]
    Envelope(#[from] EnvelopeError),
    /// The input cannot be digested.
    #[error("the input cannot be digested")]
    Digest(#[from] DigestError),
    /// The input cannot be stored.
    #[error("the input cannot be encoded")]
    Encode(#[from] serde_json::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What prepaid jobs are made by.
#[derive(Debug, Clone)]
pub struct PrepaidSettings {
    /// The network money moves on.
    pub network: Network,
    /// How much an order may carry.
    pub limits: OrderLimits,
}

/// An order that is paid from a balance.
#[derive(Debug, Clone)]
pub struct PrepaidOrder {
    /// What is asked, under the customer's idempotency key.
    pub asked: Order,
    /// The most it may cost.
    pub max_price: Option<AmountMsat>,
}

impl PrepaidOrder {
    /// The digests of what is asked: that of the input, and the one that a repeat must agree in. The limit is part of the latter: it decides
    /// whether a job begins.
    fn digests(&self) -> Result<Digests, DigestError> {
        let input = &self.asked.input;
        let request = blocking::on_bytes(input.content_bytes(), || input.digest())?;
        let limit = self.max_price.map_or(0, AmountMsat::msat);
        let digest = self.asked.body_digest(&request);
        let body = Digest::sha256(format!("ailayer.gateway.prepaid.v1 {digest} {limit}").as_bytes());
        Ok(Digests { body, request })
    }
}

/// Of everything that is asked, and of the input.
#[derive(Debug, Clone, Copy)]
struct Digests {
    body: Digest,
    request: Digest,
}

/// How an order ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The job, in a terminal state.
    pub record: JobRecord,
    /// The answer, if the job has come to it within this call; it is in the job's row in any case.
    pub answer: Option<Answer>,
}

/// Runs prepaid jobs. Cloned freely.
#[derive(Clone)]
pub struct Prepaid {
    /// The database.
    pub store: Store,
    /// Signing key and token key.
    pub keys: Keys,
    /// What jobs are made by.
    pub settings: Arc<PrepaidSettings>,
    /// The prices in force.
    pub prices: Prices,
    /// What operators have stopped.
    pub brakes: Brakes,
    /// What is loaded.
    pub models: Models,
    /// Counts tokens against keys.
    pub access: Access,
    /// Tells when quotes are made.
    pub clock: Clock,
    /// Writes reservations and jobs together.
    pub books: Arc<dyn Books>,
    /// Runs what has begun.
    pub driver: Driver,
    /// Bounds the jobs that run here at once.
    pub slots: Arc<Semaphore>,
    /// Tells when jobs change.
    pub signals: Signals,
    /// Where simulations halt.
    pub crash_points: CrashPoints,
}

impl Prepaid {
    /// Runs an order to its end, or answers the end of the job that its request id has made. Dropped, it leaves a job that goes
    /// on: another driver takes it over when the lease lapses.
    pub async fn run(&self, caller: &Caller, order: &PrepaidOrder) -> Result<Ended, PrepaidError> {
        let digests = order.digests()?;
        match self.run_new(caller, order, digests).await {
            Ok(Some(ended)) => Ok(ended),
            // A request that has made a job is answered by it, whatever stands in the way of new ones. It is looked for only
            // now, so that those who ask once do not wait for it.
            Ok(None) => match self.known(caller, order, digests.body).await? {
                Some(known) => self.end_of(known).await,
                None => Err(PrepaidError::Refused(Refusal::Moved)),
            },
            Err(error) => match self.known(caller, order, digests.body).await? {
                Some(known) => self.end_of(known).await,
                None => Err(error),
            },
        }
    }

    /// Runs an order as if it were new; none if it turns out that its request has made a job.
    async fn run_new(
        &self,
        caller: &Caller,
        order: &PrepaidOrder,
        digests: Digests,
    ) -> Result<Option<Ended>, PrepaidError> {
        // Held until the job ends: what cannot run now is refused before anything is set aside.
        let _slot = self.slots.try_acquire().map_err(|_| {
            telemetry::refused("running_jobs");
            SubmitError::Overloaded
        })?;
        let mut new = self.offer(caller, order, digests).await?;
        let (job_id, owner) = (new.job_id, new.owner);
        // What is kept here of the job does without its input, which may be long.
        let input = std::mem::take(&mut new.input);
        let kept = new.clone();
        let Some(begun_at) = self.begin(NewPrepaidJob { input, ..new }).await? else { return Ok(None) };
        self.crash_points.pass(crash_points::RUNNING).await;
        let ended = self.driver.drive_begun(begun(kept, begun_at), order.asked.input.clone(), owner).await;
        if let Some((record, answer)) = ended {
            return Ok(Some(Ended { record, answer }));
        }
        let record = jobs::by_id(self.store.pool(), job_id).await?;
        let record = record.ok_or_else(|| StoreError::Corrupt("a job that began is gone".to_owned()))?;
        self.end_of(record).await.map(Some)
    }

    /// The job that the request has made, if it has made one.
    async fn known(
        &self,
        caller: &Caller,
        order: &PrepaidOrder,
        body_digest: Digest,
    ) -> Result<Option<JobRecord>, PrepaidError> {
        let found =
            store::prepaid::by_request_id(self.store.pool(), caller.account, order.asked.request_id).await?;
        match found {
            Some(record) if record.body_digest != body_digest => Err(PrepaidError::RequestIdReused),
            found => Ok(found),
        }
    }

    /// Waits for a job's end.
    async fn end_of(&self, mut record: JobRecord) -> Result<Ended, PrepaidError> {
        let mut changes = self.signals.watch(record.job_id);
        let mut wait = Duration::ZERO;
        while !record.job.state.is_terminal() {
            // The first look is behind the begin of listening; another replica's change is noticed by polling.
            let _ = tokio::time::timeout(wait, changes.next()).await;
            wait = self.driver.lease / 3;
            let found = jobs::by_id(self.store.pool(), record.job_id).await?;
            record = found.ok_or_else(|| StoreError::Corrupt("a job is gone".to_owned()))?;
        }
        Ok(Ended { record, answer: None })
    }

    /// Reserves the cap and writes the job, in one commit; answers when. None if the request has made a job meanwhile.
    async fn begin(&self, new: NewPrepaidJob) -> Result<Option<UnixMs>, PrepaidError> {
        let (account, key_id, cap) = (new.terms.account, new.terms.key_id, new.cap);
        let operation = prepaid::reserve(account, new.job_id, cap)?;
        let twin = (account, new.request_id);
        let submitted = self.books.apply(operation, JobRow::begin(new)).await;
        match submitted {
            Ok(Verdict::Applied(posted) | Verdict::Duplicate(posted)) => Ok(Some(posted.posted_at)),
            Ok(Verdict::Refused(Refusal::InsufficientFunds)) => Err(PrepaidError::InsufficientFunds(cap)),
            Ok(Verdict::Refused(Refusal::Frozen)) => Err(PrepaidError::Frozen),
            // A twin, or the key: whoever was refused is told which.
            Ok(Verdict::Refused(Refusal::Moved)) => self.why_moved(twin, key_id, cap).await,
            Ok(Verdict::Refused(refusal)) => Err(PrepaidError::Refused(refusal)),
            // The unique key refuses a twin that came through another replica.
            Err(SubmitError::Failed(error)) => {
                let known = store::prepaid::by_request_id(self.store.pool(), twin.0, twin.1).await?;
                if known.is_some() { Ok(None) } else { Err(SubmitError::Failed(error).into()) }
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn why_moved(
        &self,
        (account, request_id): (crate::domain::ledger::CustomerId, RequestId),
        key_id: crate::domain::api_key::KeyId,
        cap: AmountMsat,
    ) -> Result<Option<UnixMs>, PrepaidError> {
        let pool = self.store.pool();
        if store::prepaid::by_request_id(pool, account, request_id).await?.is_some() {
            return Ok(None);
        }
        let Some(key) = api_keys::by_id(pool, key_id).await?.filter(KeyRecord::is_good) else {
            return Err(AccessError::Invalid.into());
        };
        let is_full = |limit: Option<SpendLimit>, spent: Spent, now| {
            limit.is_some_and(|limit| spent.with(&limit, cap, now).is_none())
        };
        if is_full(key.caller.terms.spend_limit, key.spent, key.now) {
            return Err(PrepaidError::SpendLimit);
        }
        let of_account = account_limits::of(pool, account).await?;
        if of_account.is_some_and(|it| is_full(it.limits.spend_limit, it.spent, it.now)) {
            return Err(PrepaidError::AccountSpendLimit);
        }
        // There is room again by now: the caller may come back at once.
        Err(SubmitError::Overloaded.into())
    }
}

/// The job as it was written at that time, without reading it back.
fn begun(new: NewPrepaidJob, now: UnixMs) -> JobRecord {
    JobRecord {
        job_id: new.job_id,
        version: 1,
        // As the row has it, or a repeat would be told another expiry than the first call.
        job: Job { expiry: new.created_at, ..Job::prepaid(new.cap, now) },
        body_digest: new.body_digest,
        token_hash: new.token_hash,
        model: new.model,
        request_digest: new.request_digest,
        usage: new.usage,
        quote: new.quote,
        prepaid: Some(new.terms),
        invoice_expiry_s: 0,
        invoice: None,
        started_at: Some(now),
        output_digest: None,
        receipt: None,
        sealed_to: None,
        sealed_digest: None,
        leaf_index: None,
        closing: None,
        closing_leaf_index: None,
        erased_at: None,
        created_at: new.created_at,
        updated_at: now,
        now,
    }
}

impl std::fmt::Debug for Prepaid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepaid").field("settings", &self.settings).finish_non_exhaustive()
    }
}
