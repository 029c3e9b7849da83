//! A payment service in memory that keeps the real one's rules: one row an invoice, release and claim exclude each
//! other, events in an append-only log, each in the step that causes it.

mod races;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ailayer_client::payment::{
    EventKind, Funds, HoldInvoice, HoldInvoiceState as State, Journal, Node, PaymentEvent, UnexpectedReceipt,
};
use ailayer_client::{CallError, ErrorReason};
use ailayer_gateway::domain::release::ReleaseReason;
use ailayer_gateway::ports::{PaymentEvents, Payments};
use ailayer_platform::clock::{now_ms, now_s};
use ailayer_primitives::{AmountMsat, Digest, JobId, Network, PaymentHash, Preimage, UnixMs, UnixS};
use ailayer_seal::{ResultKey, SharedSecret};
use async_trait::async_trait;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::{Secp256k1, SecretKey};
use futures::StreamExt as _;
use lightning_invoice::{Currency, InvoiceBuilder, PaymentSecret};
use tokio::sync::watch;
use uuid::Uuid;

use super::refusal;

pub const DEADLINE: u32 = 200;

/// How the fake misbehaves.
#[derive(Debug, Clone, Copy)]
pub struct Mood {
    /// Nothing is answered.
    pub down: bool,
    /// The next so many calls of claim and release are answered with an error after they have worked.
    pub lost_answers: u32,
    /// Claims are noted but bring no event.
    pub slow_claims: bool,
    /// Releases are noted as requested, and finished by [`FakePayments::finish_release`].
    pub slow_releases: bool,
    /// Invoices are made for one millisatoshi more.
    pub wrong_invoices: bool,
    /// What the channels can receive.
    pub inbound_msat: u64,
    /// There is no channel, as before the first buyer.
    pub no_channels: bool,
    /// HTLC slots that are taken, of 50.
    pub accepted_holds: u64,
    /// Keys of sealed answers are not offered.
    pub no_seal_keys: bool,
    /// Payments that left although no row says so.
    pub unexpected_payments: u64,
    /// What the node's channels hold beside the rows.
    pub funds: Funds,
}

impl Default for Mood {
    fn default() -> Self {
        Self {
            down: false,
            lost_answers: 0,
            slow_claims: false,
            slow_releases: false,
            wrong_invoices: false,
            inbound_msat: 1_000_000_000,
            no_channels: false,
            accepted_holds: 0,
            no_seal_keys: false,
            unexpected_payments: 0,
            funds: Funds::default(),
        }
    }
}

struct Inner {
    mood: Mood,
    invoices: HashMap<Uuid, HoldInvoice>,
    events: Vec<PaymentEvent>,
    tip_height: u32,
    synced: bool,
    claims: u32,
    creates: u32,
}

pub struct FakePayments {
    inner: Arc<Mutex<Inner>>,
    log_length: watch::Sender<usize>,
}

impl FakePayments {
    pub fn new() -> Arc<Self> {
        let inner = Inner {
            mood: Mood::default(),
            invoices: HashMap::new(),
            events: vec![],
            tip_height: 100,
            synced: true,
            claims: 0,
            creates: 0,
        };
        Arc::new(Self { inner: Arc::new(Mutex::new(inner)), log_length: watch::Sender::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub fn set(&self, change: impl FnOnce(&mut Mood)) {
        change(&mut self.lock().mood);
    }

    pub fn set_tip(&self, height: u32) {
        self.lock().tip_height = height;
    }

    pub fn set_synced(&self, synced: bool) {
        self.lock().synced = synced;
    }

    pub fn state(&self, job_id: JobId) -> Option<State> {
        self.lock().invoices.get(&job_id.uuid()).map(|invoice| invoice.state)
    }

    pub fn claims(&self) -> u32 {
        self.lock().claims
    }

    pub fn creates(&self) -> u32 {
        self.lock().creates
    }

    /// The payer pays the exact price now.
    pub fn pay(&self, job_id: JobId) {
        self.pay_beyond(job_id, 0);
    }

    /// The payer pays so much more than the price.
    pub fn pay_beyond(&self, job_id: JobId, msat: u64) {
        let invoice = {
            let mut inner = self.lock();
            let invoice = inner.invoices.get_mut(&job_id.uuid()).expect("an invoice");
            assert_eq!(invoice.state, State::Open, "an invoice is paid while it is open");
            invoice.state = State::Accepted;
            invoice.accepted_amount = AmountMsat::try_new(invoice.amount.msat() + msat).unwrap();
            invoice.claim_deadline_height = DEADLINE;
            invoice.accepted_at = now_ms();
            invoice.clone()
        };
        self.emit(EventKind::HoldInvoiceAccepted(invoice));
    }

    /// The deadline guard, or an operator, gives the money back.
    pub fn guard_releases(&self, job_id: JobId) {
        let invoice = self.change(job_id, State::Released);
        self.emit(EventKind::HoldInvoiceReleased(invoice));
    }

    /// A claim is found to have come too late.
    pub fn claim_is_lost(&self, job_id: JobId) {
        let invoice = self.change(job_id, State::Lost);
        self.emit(EventKind::HoldInvoiceLost(invoice));
    }

    /// The node confirms a claim.
    pub fn claim_succeeds(&self, job_id: JobId) {
        let invoice = self.change(job_id, State::Claimed);
        self.emit(EventKind::HoldInvoiceClaimed(invoice));
    }

    /// The node finds money whose claim was given up as lost: the row stays, the event is about the money alone.
    pub fn received_after_all(&self, job_id: JobId) {
        let invoice = self.invoice(job_id);
        assert_eq!(invoice.state, State::Lost);
        self.emit(EventKind::ReceiptUnexpected(UnexpectedReceipt {
            payment_hash: invoice.payment_hash.unwrap(),
            amount: invoice.accepted_amount,
            note: "the claim had been given up".to_owned(),
        }));
    }

    /// A release that was requested is done.
    pub fn finish_release(&self, job_id: JobId) {
        let invoice = self.change(job_id, State::Released);
        self.emit(EventKind::HoldInvoiceReleased(invoice));
    }

    /// The invoice runs out unpaid.
    pub fn invoice_expires(&self, job_id: JobId) {
        let invoice = self.change(job_id, State::Expired);
        self.emit(EventKind::HoldInvoiceExpired(invoice));
    }

    pub fn invoice(&self, job_id: JobId) -> HoldInvoice {
        self.lock().invoices[&job_id.uuid()].clone()
    }

    fn change(&self, job_id: JobId, state: State) -> HoldInvoice {
        let mut inner = self.lock();
        let invoice = inner.invoices.get_mut(&job_id.uuid()).expect("an invoice");
        invoice.state = state;
        invoice.clone()
    }

    /// Appends an event to the log.
    pub fn emit(&self, kind: EventKind) {
        self.log(&mut self.lock(), kind);
    }

    /// The same, in the step that causes it: no other event comes in between.
    fn log(&self, inner: &mut Inner, kind: EventKind) {
        let cursor = inner.events.len() as u64 + 1;
        inner.events.push(PaymentEvent { cursor, event_id: Uuid::new_v4(), recorded_at: now_ms(), kind });
        self.log_length.send_replace(inner.events.len());
    }

    pub fn head(&self) -> u64 {
        self.lock().events.len() as u64
    }

    fn answer(&self, inner: &mut Inner, invoice: HoldInvoice) -> Result<HoldInvoice, CallError> {
        if inner.mood.lost_answers > 0 {
            inner.mood.lost_answers -= 1;
            return Err(refusal("payment", ErrorReason::DependencyUnavailable));
        }
        Ok(invoice)
    }
}

fn up(inner: &Inner) -> Result<(), CallError> {
    if inner.mood.down { Err(refusal("payment", ErrorReason::StorageUnavailable)) } else { Ok(()) }
}

/// The proof of payment that a claim brings to the payer.
pub fn preimage(job_id: Uuid) -> Preimage {
    Preimage::new(*Digest::sha256(job_id.as_bytes()).as_bytes())
}

fn bolt11(job_id: Uuid, msat: u64, description_hash: Digest, expiry_s: u32) -> (String, PaymentHash) {
    let key = SecretKey::from_slice(&[0x11; 32]).unwrap();
    let payment_hash = preimage(job_id).payment_hash();
    let text = InvoiceBuilder::new(Currency::Regtest)
        .description_hash(sha256::Hash::from_byte_array(*description_hash.as_bytes()))
        .payment_hash(sha256::Hash::from_byte_array(*payment_hash.0.as_bytes()))
        .payment_secret(PaymentSecret([7; 32]))
        .duration_since_epoch(Duration::from_secs(now_s().0))
        .expiry_time(Duration::from_secs(expiry_s.into()))
        .min_final_cltv_expiry_delta(144)
        .amount_milli_satoshis(msat)
        .build_signed(|hash| Secp256k1::new().sign_ecdsa_recoverable(hash, &key))
        .unwrap();
    (text.to_string(), payment_hash)
}

fn blank(invoice_id: Uuid, state: State, reason: &str) -> HoldInvoice {
    HoldInvoice {
        invoice_id,
        payment_hash: None,
        bolt11: String::new(),
        amount: AmountMsat::ZERO,
        state,
        accepted_amount: AmountMsat::ZERO,
        claim_deadline_height: 0,
        expiry: UnixS(0),
        release_reason: reason.to_owned(),
        accepted_at: UnixMs(0),
    }
}

#[async_trait]
impl Payments for FakePayments {
    async fn node(&self) -> Result<Node, CallError> {
        let inner = self.lock();
        up(&inner)?;
        Ok(Node {
            node_id: [2; 33],
            network: Network::Regtest,
            listening_addresses: vec!["127.0.0.1:9735".to_owned()],
            tip: Some(ailayer_client::payment::BlockRef { block_hash: [0; 32], height: inner.tip_height }),
            synced: inner.synced,
            usable_channels: u32::from(!inner.mood.no_channels),
            inbound_capacity: AmountMsat::try_new(inner.mood.inbound_msat).unwrap(),
            accepted_holds: inner.mood.accepted_holds,
            max_accepted_holds: 50,
        })
    }

    async fn create_hold_invoice(
        &self,
        job_id: JobId,
        amount: AmountMsat,
        description_hash: Digest,
        expiry_s: u32,
    ) -> Result<HoldInvoice, CallError> {
        let mut inner = self.lock();
        up(&inner)?;
        inner.creates += 1;
        if let Some(invoice) = inner.invoices.get(&job_id.uuid()) {
            if invoice.payment_hash.is_none() {
                return Err(refusal("payment", ErrorReason::InvalidState));
            }
            return Ok(invoice.clone());
        }
        let msat = amount.msat() + u64::from(inner.mood.wrong_invoices);
        let (bolt11, payment_hash) = bolt11(job_id.uuid(), msat, description_hash, expiry_s);
        let invoice = HoldInvoice {
            payment_hash: Some(payment_hash),
            bolt11,
            amount,
            expiry: UnixS(now_s().0 + u64::from(expiry_s)),
            ..blank(job_id.uuid(), State::Open, "")
        };
        inner.invoices.insert(job_id.uuid(), invoice.clone());
        self.answer(&mut inner, invoice)
    }

    async fn seal_key(&self, job_id: JobId, shared: &SharedSecret) -> Result<ResultKey, CallError> {
        let inner = self.lock();
        up(&inner)?;
        match inner.invoices.get(&job_id.uuid()).map(|invoice| invoice.state) {
            Some(_) if inner.mood.no_seal_keys => Err(refusal("payment", ErrorReason::NotOffered)),
            Some(State::Accepted) => Ok(ResultKey::derive(&preimage(job_id.uuid()), shared, job_id)),
            _ => Err(refusal("payment", ErrorReason::InvalidState)),
        }
    }

    async fn claim(&self, job_id: JobId) -> Result<HoldInvoice, CallError> {
        let mut inner = self.lock();
        up(&inner)?;
        inner.claims += 1;
        let too_late = inner.tip_height + 2 > DEADLINE;
        let slow = inner.mood.slow_claims;
        let invoice = inner.invoices.get_mut(&job_id.uuid()).expect("an invoice");
        match invoice.state {
            State::Accepted if too_late => return Err(refusal("payment", ErrorReason::DeadlineTooClose)),
            State::Accepted => invoice.state = if slow { State::ClaimRequested } else { State::Claimed },
            State::ClaimRequested | State::Claimed => {
                let invoice = invoice.clone();
                return self.answer(&mut inner, invoice);
            }
            _ => return Err(refusal("payment", ErrorReason::InvalidState)),
        }
        let invoice = invoice.clone();
        if invoice.state == State::Claimed {
            self.log(&mut inner, EventKind::HoldInvoiceClaimed(invoice.clone()));
        }
        self.answer(&mut inner, invoice)
    }

    async fn release(&self, job_id: JobId, reason: ReleaseReason) -> Result<HoldInvoice, CallError> {
        let mut inner = self.lock();
        up(&inner)?;
        let slow = inner.mood.slow_releases;
        let id = job_id.uuid();
        let invoice = inner.invoices.entry(id).or_insert_with(|| blank(id, State::Released, reason.as_str()));
        let released = match invoice.state {
            State::Open | State::Accepted => {
                invoice.state = if slow { State::ReleaseRequested } else { State::Released };
                invoice.release_reason = reason.as_str().to_owned();
                !slow
            }
            State::ReleaseRequested | State::Released | State::Expired => false,
            _ => return Err(refusal("payment", ErrorReason::InvalidState)),
        };
        let invoice = invoice.clone();
        if released {
            self.log(&mut inner, EventKind::HoldInvoiceReleased(invoice.clone()));
        }
        self.answer(&mut inner, invoice)
    }

    async fn journal(&self) -> Result<Journal, CallError> {
        let inner = self.lock();
        up(&inner)?;
        let claimed = inner.invoices.values().filter(|invoice| invoice.state == State::Claimed);
        let unexpected = inner.events.iter().filter_map(|event| match &event.kind {
            EventKind::ReceiptUnexpected(receipt) => Some(receipt.amount.msat()),
            _ => None,
        });
        Ok(Journal {
            cursor: inner.events.len() as u64,
            claimed_msat: claimed.map(|invoice| invoice.accepted_amount.msat()).sum(),
            unexpected_received_msat: unexpected.sum(),
            unexpected_payments: inner.mood.unexpected_payments,
            ..Journal::default()
        })
    }

    async fn compare_funds(&self) -> Result<Funds, CallError> {
        let inner = self.lock();
        up(&inner)?;
        Ok(inner.mood.funds)
    }

    async fn accept_funds_residue(&self, residue_msat: i64, _note: String) -> Result<(), CallError> {
        let mut inner = self.lock();
        up(&inner)?;
        if residue_msat != inner.mood.funds.residue_msat {
            return Err(refusal("payment", ErrorReason::InvalidField));
        }
        inner.mood.funds = Funds::default();
        Ok(())
    }

    async fn watch(&self, after_cursor: u64) -> Result<PaymentEvents, CallError> {
        up(&self.lock())?;
        let place = usize::try_from(after_cursor).unwrap();
        let reader = (Arc::clone(&self.inner), self.log_length.subscribe(), place);
        let events = futures::stream::unfold(reader, |(inner, mut log_length, place)| async move {
            log_length.wait_for(|length| *length > place).await.ok()?;
            let event = inner.lock().unwrap().events[place].clone();
            Some((Ok(event), (inner, log_length, place + 1)))
        });
        Ok(events.boxed())
    }
}
