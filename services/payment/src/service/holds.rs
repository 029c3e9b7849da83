//! Hold invoices: create, claim, release, and what the node reports about them.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::{clock, crash};
use ailayer_primitives::{AmountMsat, PaymentHash, UnixS};
use ailayer_store::StoreError;
use ailayer_store::event_log::Signal;

use crate::domain::event::{Event, EventKind, UnexpectedReceipt};
use crate::domain::hold_invoice::{
    Claimable, Conditions, HoldInvoice, HoldState, Input, Margins, NodeCall, Refused, decide,
};
use crate::domain::invoice_id::InvoiceId;
use crate::domain::preimage::PreimageSecret;
use crate::error::ServiceError;
use crate::ports::{LightningNode, NodeError, NodeRecord};
use crate::service::sync_gate::SyncGate;
use crate::store::Rows;
use crate::store::hold_invoice as table;
use crate::telemetry;

mod create;
use create::InvoicesBeingMade;

/// How often a compare-and-set is tried before the row is called contended. Rows have few writers.
const MAX_TRIES: u32 = 16;
/// Rows that one tick of the guard moves; more wait for the next one.
const TICK_ROWS: u32 = 512;

/// HTLCs that LDK lets a peer have in a channel at once: its default of `our_max_accepted_htlcs`.
const HTLC_SLOTS_OF_A_CHANNEL: u64 = 50;

/// Bounds of this node's holds.
#[derive(Debug, Clone, Copy)]
pub struct HoldLimits {
    /// INTENT and OPEN rows at most.
    pub max_open: u64,
    /// ACCEPTED and CLAIM_REQUESTED rows at most: each takes HTLC slots of a channel.
    pub max_accepted: u64,
    /// How long one call to the node may take before it is given up and repeated later.
    pub node_call_timeout: Duration,
    /// Kill switch of new holds.
    pub holds_enabled: bool,
    /// Kill switch of claims.
    pub claims_enabled: bool,
}

/// The hold invoices of one node.
pub struct Holds {
    rows: Rows,
    node: Arc<dyn LightningNode>,
    secret: PreimageSecret,
    gate: Arc<SyncGate>,
    signal: Signal,
    margins: Margins,
    limits: HoldLimits,
    making: InvoicesBeingMade,
}

/// A row after an input, and what the node is to be told.
struct Step {
    invoice: HoldInvoice,
    call: Option<NodeCall>,
}

impl Holds {
    /// Holds over a store and a node.
    pub fn new(
        rows: Rows,
        node: Arc<dyn LightningNode>,
        secret: PreimageSecret,
        gate: Arc<SyncGate>,
        signal: Signal,
        margins: Margins,
        limits: HoldLimits,
    ) -> Self {
        Self { rows, node, secret, gate, signal, margins, limits, making: InvoicesBeingMade::new() }
    }

    /// Looks an invoice up by its id.
    pub async fn find(&self, id: InvoiceId) -> Result<HoldInvoice, ServiceError> {
        table::find(&self.rows, id).await?.ok_or(ServiceError::InvoiceNotFound)
    }

    /// Looks an invoice up by its payment hash.
    pub async fn find_by_hash(&self, hash: PaymentHash) -> Result<HoldInvoice, ServiceError> {
        table::find_by_hash(&self.rows, hash).await?.ok_or(ServiceError::InvoiceNotFound)
    }

    /// Authorises the claim and tells the node. On `Ok` the authorisation is durable: nothing can give the money
    /// back any more. CLAIMED follows with the node's event.
    pub async fn claim(&self, id: InvoiceId) -> Result<HoldInvoice, ServiceError> {
        let status = self.node.status();
        if self.find(id).await?.state == HoldState::Accepted {
            if !self.limits.claims_enabled {
                return Err(ServiceError::SwitchedOff("claims"));
            }
            // A height read before the node has caught up would make a passed deadline look far away.
            self.gate.check(&status, clock::now_s())?;
        }
        let step = self.step(id, None, None, |_| Input::RequestClaim { tip: status.tip.height }).await?;
        self.tell(&step).await;
        Ok(step.invoice)
    }

    /// Gives the money back, or withdraws the invoice. On `Ok` the release is durable: nothing can claim any more.
    pub async fn release(&self, id: InvoiceId, reason: &str) -> Result<HoldInvoice, ServiceError> {
        match self.step(id, Some(reason), None, |_| Input::RequestRelease).await {
            Err(ServiceError::InvoiceNotFound) => {}
            outcome => return self.finish(outcome?).await,
        }
        let hash = self.secret.preimage(id).payment_hash();
        let tombstone = HoldInvoice::tombstone(id, hash, reason.to_owned());
        let event = Event::HoldInvoice(EventKind::HoldInvoiceReleased, tombstone.clone());
        if table::insert_tombstone(&self.rows, &tombstone, &event, clock::now_ms()).await? {
            self.moved(&tombstone);
            return Ok(tombstone);
        }
        // Created in between.
        let step = self.step(id, Some(reason), None, |_| Input::RequestRelease).await?;
        self.finish(step).await
    }

    /// The node reports locked money. `Ok` means that what it says is durable here.
    ///
    /// # Errors
    /// `NotSynced`, nothing decided, while the node may still come into sync after its start: a restart must not fail payers
    /// for want of a few seconds.
    pub async fn on_claimable(
        &self,
        hash: PaymentHash,
        node_payment_id: [u8; 32],
        money: Claimable,
    ) -> Result<(), ServiceError> {
        let Some(invoice) = table::find_by_hash(&self.rows, hash).await? else {
            // Not ours to keep: a row lost in a restore, say. The payer has it back at once.
            tracing::warn!(payment_hash = %hash, "money for an unknown hold invoice, failing it back");
            self.fail_back(hash).await;
            return Ok(());
        };
        let status = self.node.status();
        let in_sync = self.gate.check(&status, clock::now_s());
        if let Err(not_synced) = &in_sync
            && invoice.state == HoldState::Open
            && self.gate.may_still_sync(&status)
        {
            tracing::info!(payment_hash = %hash, %not_synced, "money waits for the first sync");
            return in_sync;
        }
        let accepted = table::counts(&self.rows).await?.accepted;
        let slot_free = accepted < self.limits.max_accepted;
        let conditions = Conditions { tip: status.tip.height, in_sync: in_sync.is_ok(), slot_free };
        let input = |_: &HoldInvoice| Input::Claimable { money, conditions };
        let step = self.step(invoice.invoice_id, None, Some(node_payment_id), input).await?;
        self.finish(step).await?;
        Ok(())
    }

    /// The node reports that a preimage is durable. `Ok` means that what it says is durable here.
    pub async fn on_received(&self, hash: PaymentHash, amount: AmountMsat) -> Result<(), ServiceError> {
        let Some(invoice) = table::find_by_hash(&self.rows, hash).await? else {
            return self.unexpected(hash, amount, "no hold invoice has this hash").await;
        };
        match self.step(invoice.invoice_id, None, None, |_| Input::Received { amount }).await {
            Ok(_) => {
                note_other_amount(&invoice, amount);
                Ok(())
            }
            Err(ServiceError::Hold(refused @ Refused::Unauthorised(_))) => {
                self.unexpected(hash, amount, &refused.to_string()).await
            }
            Err(error) => Err(error),
        }
    }

    async fn unexpected(
        &self,
        hash: PaymentHash,
        amount: AmountMsat,
        note: &str,
    ) -> Result<(), ServiceError> {
        tracing::error!(payment_hash = %hash, amount_msat = amount.msat(), note, "unexpected receipt");
        telemetry::unexpected_receipt();
        let receipt = UnexpectedReceipt { payment_hash: hash, amount, note: note.to_owned() };
        table::record_unexpected(&self.rows, &receipt, clock::now_ms()).await?;
        self.signal.notify();
        Ok(())
    }

    /// One round of the guard: expires, gives back what nobody claimed, repeats what a crash may have cut off.
    /// `events_drained` as in [`Input::Tick`], the per-row part apart.
    ///
    /// A row that cannot be moved, or whose call to the node is not answered, does not keep the next one from its turn.
    ///
    /// # Errors
    /// What no other row would fare better with: the database is away, or its rows cannot be trusted.
    pub async fn tick(&self, now: UnixS, events_drained: bool) -> Result<(), ServiceError> {
        let tip = self.node.status().tip.height;
        let guard_height = tip.saturating_add(self.margins.guard_blocks);
        for due in table::find_due(&self.rows, now, guard_height, TICK_ROWS).await? {
            match self.tick_row(&due, tip, now, events_drained).await {
                Ok(()) | Err(ServiceError::Contended) => {}
                Err(error) if ends_the_round(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(invoice_id = %due.invoice_id, %error, "hold invoice not moved, trying again");
                }
            }
        }
        Ok(())
    }

    async fn tick_row(
        &self,
        due: &HoldInvoice,
        tip: u32,
        now: UnixS,
        events_drained: bool,
    ) -> Result<(), ServiceError> {
        // The node is asked only where its answer counts; no answer is none, and then silence means nothing.
        let silent = due.state != HoldState::ClaimRequested
            || match self.in_time(self.node.record(due.payment_hash)).await {
                Ok(record) => record != Some(NodeRecord::Succeeded),
                Err(error) => {
                    tracing::warn!(payment_hash = %due.payment_hash, %error, "the node's record is not known");
                    false
                }
            };
        let events_drained = events_drained && silent;
        let tick = |_: &HoldInvoice| Input::Tick { tip, now, events_drained };
        let step = self.step(due.invoice_id, None, None, tick).await?;
        self.finish(step).await?;
        Ok(())
    }

    /// At every start: tells the node again to fail back what a crash may have kept it from failing.
    pub async fn fail_back_again(&self) -> Result<(), ServiceError> {
        let tip = self.node.status().tip.height;
        for hash in table::find_to_fail_back(&self.rows, tip).await? {
            self.fail_back(hash).await;
        }
        Ok(())
    }

    /// Holds that may be accepted at once with so many usable channels.
    pub fn max_accepted(&self, usable_channels: u32) -> u64 {
        let slots = u64::from(usable_channels).saturating_mul(HTLC_SLOTS_OF_A_CHANNEL);
        self.limits.max_accepted.min(slots)
    }

    /// The counts behind the limits and the balances.
    pub async fn counts(&self) -> Result<table::Counts, ServiceError> {
        Ok(table::counts(&self.rows).await?)
    }

    /// Applies an input to a row: decide, compare-and-set with the event, repeat if somebody was faster.
    async fn step(
        &self,
        id: InvoiceId,
        reason: Option<&str>,
        node_payment_id: Option<[u8; 32]>,
        input: impl Fn(&HoldInvoice) -> Input,
    ) -> Result<Step, ServiceError> {
        for _ in 0..MAX_TRIES {
            let before = self.find(id).await?;
            let transition = decide(&before, &input(&before), self.margins)?;
            let now = clock::now_ms();
            let after = before.after(&transition, reason, now);
            if after == before {
                return Ok(Step { invoice: after, call: transition.call });
            }
            if table::advance(&self.rows, &before, &transition, &after, node_payment_id, now).await? {
                if after.state != before.state {
                    self.moved(&after);
                }
                return Ok(Step { invoice: after, call: transition.call });
            }
        }
        Err(ServiceError::Contended)
    }

    /// Tells the node, and completes a release once it was told.
    async fn finish(&self, step: Step) -> Result<HoldInvoice, ServiceError> {
        let told = self.tell(&step).await;
        if told && step.invoice.state == HoldState::ReleaseRequested {
            return Ok(self.step(step.invoice.invoice_id, None, None, |_| Input::FailedBack).await?.invoice);
        }
        Ok(step.invoice)
    }

    /// Makes the call a step asks for. A failure is not the caller's: the row says what must be done, and the
    /// guard repeats it.
    async fn tell(&self, step: &Step) -> bool {
        let invoice = &step.invoice;
        match step.call {
            Some(NodeCall::Claim) => {
                let amount = invoice.hold.map_or(AmountMsat::ZERO, |hold| hold.amount);
                let preimage = self.secret.preimage(invoice.invoice_id);
                if let Err(error) = self.in_time(self.node.claim(amount, &preimage)).await {
                    tracing::error!(invoice_id = %invoice.invoice_id, %error, "claim not taken by the node, repeating");
                    return false;
                }
                crash::point("payment.p9.after_claim_call");
                true
            }
            Some(NodeCall::FailBack) => {
                let told = self.fail_back(invoice.payment_hash).await;
                crash::point("payment.r2.after_fail_call");
                told
            }
            Some(NodeCall::MakeInvoice) | None => true,
        }
    }

    async fn fail_back(&self, hash: PaymentHash) -> bool {
        if let Err(error) = self.in_time(self.node.fail_back(hash)).await {
            tracing::error!(payment_hash = %hash, %error, "fail-back not taken by the node, repeating");
            return false;
        }
        true
    }

    /// A call to the node, given up when it is not answered in time.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, NodeError>>) -> Result<T, NodeError> {
        tokio::time::timeout(self.limits.node_call_timeout, call).await.unwrap_or(Err(NodeError::NoAnswer))
    }

    fn moved(&self, invoice: &HoldInvoice) {
        let HoldInvoice { invoice_id, state, release_reason, .. } = invoice;
        if let Some(point) = crash_point(*state) {
            crash::point(point);
        }
        tracing::info!(%invoice_id, state = state.as_str(), release_reason, "hold invoice moved");
        telemetry::hold_moved(*state);
        self.signal.notify();
    }
}

/// True for a failure that the other rows share.
fn ends_the_round(error: &ServiceError) -> bool {
    error.is_fatal() || matches!(error, ServiceError::Store(StoreError::Unavailable(_)))
}

/// Says aloud that another amount was taken than was accepted. The trace is the row itself and its event, which the
/// ledger books with the surplus apart; a second record elsewhere would be booked twice.
fn note_other_amount(before: &HoldInvoice, taken: AmountMsat) {
    let accepted = before.hold.map_or(AmountMsat::ZERO, |hold| hold.amount);
    if before.state == HoldState::ClaimRequested && taken != accepted {
        let (accepted_msat, taken_msat) = (accepted.msat(), taken.msat());
        tracing::error!(invoice_id = %before.invoice_id, accepted_msat, taken_msat, "another amount was taken");
        telemetry::contradiction("claimed_other_amount");
    }
}

/// The point right behind the durable write of a state.
const fn crash_point(state: HoldState) -> Option<&'static str> {
    match state {
        HoldState::Open => Some("payment.p2.open"),
        HoldState::Accepted => Some("payment.p3.accepted"),
        HoldState::ClaimRequested => Some("payment.p9.claim_requested"),
        HoldState::Claimed => Some("payment.p10.claimed"),
        HoldState::ReleaseRequested => Some("payment.r2.release_requested"),
        HoldState::Released => Some("payment.r3.released"),
        HoldState::Intent | HoldState::Lost | HoldState::Expired => None,
    }
}
