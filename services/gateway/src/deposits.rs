//! Funding a balance: the invoice, the events about it, and the credit, exactly once.

use std::sync::Arc;
use std::time::Duration;

use ailayer_client::invoice::{Agreement, Invoice as SignedInvoice, InvoiceError};
use ailayer_client::payment::UnexpectedReceipt;
use ailayer_client::{CallError, ErrorReason};
use ailayer_primitives::{AmountMsat, Digest, JobId, Network, RequestId};
use ailayer_store::{Store, StoreError, Tx};
use thiserror::Error;
use uuid::Uuid;

use crate::brakes::{BrakeError, Brakes};
use crate::crash_points::{self, CrashPoints};
use crate::domain::api_key::Caller;
use crate::domain::brake::Brake;
use crate::domain::deposit::{DepositEvent, DepositState, DepositStep, decide};
use crate::domain::ledger::sale::SaleError;
use crate::domain::ledger::{Operation, Stripe, Verdict, funding};
use crate::ports::Payments;
use crate::signals::Signals;
use crate::store::deposits::{self, DepositRecord};
use crate::store::ledger::{Submission, apply_in_tx};
use crate::store::suspense::{self, Source};
use crate::store::{self, Invoice};

/// The longest note of a suspense item, in characters.
const MAX_NOTE: usize = 256;
/// Deposits of one account that may wait for their payers at once.
const MAX_OPEN: u64 = 16;

/// Why there is no invoice. No money can be lost then.
#[derive(Debug, Error)]
pub enum DepositError {
    /// The same request id was used for another amount.
    #[error("this request_id was used for another deposit")]
    RequestIdReused,
    /// Too many invoices of the account wait.
    #[error("too many deposits are open; pay or wait for some")]
    TooManyOpen,
    /// The invoice ended before it was made.
    #[error("the deposit ended before its invoice was made; ask again under another request_id")]
    Ended,
    /// The Lightning node cannot hold money now.
    #[error("the Lightning node is not in sync yet")]
    NotSynced,
    /// An operator has stopped it.
    #[error(transparent)]
    Brake(#[from] BrakeError),
    /// The payment service failed.
    #[error("payment: {0}")]
    Payment(#[source] CallError),
    /// The payment service made another invoice than was asked for.
    #[error("the payment service made a wrong invoice")]
    Invoice(#[from] InvoiceError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an event was not booked.
#[derive(Debug, Error)]
pub enum BookError {
    /// The amounts are none.
    #[error(transparent)]
    Sale(#[from] SaleError),
    /// The ledger does not take it.
    #[error("deposit {0} cannot be posted: {1:?}")]
    NotPosted(Uuid, Verdict),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booked {
    /// The id is no deposit's.
    NotOurs,
    /// It was done, in the caller's transaction. Where the deposit has moved to, and what its balance was credited with.
    Done(Option<DepositState>, AmountMsat),
    /// Nothing may be written: the money must go back first.
    GiveBack,
}

/// Makes and books deposits. Cloned freely.
#[derive(Clone)]
pub struct Deposits {
    /// The database.
    pub store: Store,
    /// The Lightning node's keeper.
    pub payments: Arc<dyn Payments>,
    /// The network money moves on.
    pub network: Network,
    /// How long an invoice may be paid; whole seconds.
    pub expiry: Duration,
    /// What operators have stopped.
    pub brakes: Brakes,
    /// Wakes who claims.
    pub signals: Signals,
    /// Where simulations halt.
    pub crash_points: CrashPoints,
}

impl Deposits {
    /// Makes an invoice, or answers the one that the request has made. A repeat finishes what a crash left undone.
    pub async fn create(
        &self,
        caller: &Caller,
        request_id: RequestId,
        amount: AmountMsat,
    ) -> Result<DepositRecord, DepositError> {
        let record = match deposits::by_request_id(self.store.pool(), caller.account, request_id).await? {
            Some(known) => known,
            None => self.stored(caller, request_id, amount).await?,
        };
        if record.amount != amount {
            return Err(DepositError::RequestIdReused);
        }
        self.crash_points.pass(crash_points::DEPOSIT_STORED).await;
        match record.invoice {
            Some(_) => Ok(record),
            None => self.make_invoice(record).await,
        }
    }

    /// Stores a deposit, or finds the one that a twin of the request has stored meanwhile.
    async fn stored(
        &self,
        caller: &Caller,
        request_id: RequestId,
        amount: AmountMsat,
    ) -> Result<DepositRecord, DepositError> {
        self.brakes.check(Brake::NewJobs).await?;
        let expiry_s = u32::try_from(self.expiry.as_secs()).unwrap_or(u32::MAX);
        let mut tx = self.store.begin().await?;
        deposits::insert_in_tx(&mut tx, caller.account, request_id, amount, expiry_s, MAX_OPEN).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let stored = deposits::by_request_id(self.store.pool(), caller.account, request_id).await?;
        stored.ok_or(DepositError::TooManyOpen)
    }

    async fn make_invoice(&self, record: DepositRecord) -> Result<DepositRecord, DepositError> {
        if record.state != DepositState::Open || store::now(self.store.pool()).await? >= record.expiry {
            return Err(DepositError::Ended);
        }
        self.brakes.check(Brake::NewJobs).await?;
        let description_hash = description(&record);
        let id = JobId::new(record.deposit_id);
        let made = self
            .payments
            .create_hold_invoice(id, record.amount, description_hash, record.invoice_expiry_s)
            .await
            .map_err(payment_error)?;
        let signed = SignedInvoice::parse(&made.bolt11)?;
        signed.check(&Agreement {
            network: self.network,
            amount: record.amount,
            description_hash,
            payment_hash: made.payment_hash.unwrap_or(signed.payment_hash),
            payee: None,
        })?;
        let invoice = Invoice { bolt11: made.bolt11, payment_hash: signed.payment_hash };
        Ok(deposits::store_invoice(self.store.pool(), record.deposit_id, &invoice).await?)
    }

    /// Books an event in the caller's transaction, which also notes the event.
    pub async fn book_in_tx(
        &self,
        tx: &mut Tx,
        deposit_id: Uuid,
        event: DepositEvent,
    ) -> Result<Booked, BookError> {
        let Some(record) = deposits::lock_in_tx(tx, deposit_id).await? else { return Ok(Booked::NotOurs) };
        let done = match decide(record.state, record.amount, event) {
            DepositStep::Nothing => Booked::Done(None, AmountMsat::ZERO),
            DepositStep::GiveBack => Booked::GiveBack,
            DepositStep::Move(to) => {
                deposits::move_in_tx(tx, deposit_id, to).await?;
                Booked::Done(Some(to), AmountMsat::ZERO)
            }
            DepositStep::Credit { credited, suspense } => {
                let mut operations = vec![funding::credit(record.account, deposit_id, credited)?];
                if suspense > AmountMsat::ZERO {
                    operations.push(funding::suspense("deposit", deposit_id, suspense)?);
                    let note = "paid beyond the invoice";
                    suspense::insert_in_tx(tx, Source::Deposit, deposit_id, suspense, note).await?;
                }
                let taken = credited.checked_add(suspense).unwrap_or(credited);
                deposits::credit_in_tx(tx, deposit_id, taken, credited).await?;
                post_in_tx(tx, deposit_id, operations).await?;
                Booked::Done(Some(DepositState::Credited), credited)
            }
            DepositStep::Suspense { amount } => {
                let note = "taken after the deposit had ended";
                suspense::insert_in_tx(tx, Source::Deposit, deposit_id, amount, note).await?;
                post_in_tx(tx, deposit_id, vec![funding::suspense("deposit", deposit_id, amount)?]).await?;
                Booked::Done(None, AmountMsat::ZERO)
            }
        };
        Ok(done)
    }

    /// Books money that no row of the payment service authorised, named by the event that told of it. Whose it is, a person
    /// finds out.
    pub async fn book_unexpected_in_tx(
        &self,
        tx: &mut Tx,
        event_id: Uuid,
        receipt: &UnexpectedReceipt,
    ) -> Result<(), BookError> {
        let note: String =
            format!("{}: {}", receipt.payment_hash, receipt.note).chars().take(MAX_NOTE).collect();
        suspense::insert_in_tx(tx, Source::Receipt, event_id, receipt.amount, &note).await?;
        post_in_tx(tx, event_id, vec![funding::suspense("receipt", event_id, receipt.amount)?]).await
    }

    /// Asks for the money of a deposit that is being taken. Proves nothing: the event does.
    pub async fn claim(&self, deposit_id: Uuid) -> Result<(), CallError> {
        self.payments.claim(JobId::new(deposit_id)).await?;
        self.crash_points.pass(crash_points::DEPOSIT_CLAIM_CALLED).await;
        Ok(())
    }
}

/// What the invoice commits to.
fn description(record: &DepositRecord) -> Digest {
    let text = format!("AILayer deposit {} of {} msat", record.deposit_id, record.amount.msat());
    Digest::sha256(text.as_bytes())
}

async fn post_in_tx(tx: &mut Tx, id: Uuid, operations: Vec<Operation>) -> Result<(), BookError> {
    let submissions: Vec<Submission> = operations.into_iter().map(Submission::new).collect();
    let verdicts = apply_in_tx(tx, Stripe::of_job(JobId::new(id)), &submissions).await?;
    match verdicts.into_iter().find(|verdict| !matches!(verdict, Verdict::Applied(_))) {
        None => Ok(()),
        Some(verdict) => Err(BookError::NotPosted(id, verdict)),
    }
}

fn payment_error(error: CallError) -> DepositError {
    match error.reason() {
        Some(ErrorReason::InvalidState) => DepositError::Ended,
        Some(ErrorReason::NotSynced) => DepositError::NotSynced,
        _ => DepositError::Payment(error),
    }
}

impl std::fmt::Debug for Deposits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deposits").field("network", &self.network).finish_non_exhaustive()
    }
}
