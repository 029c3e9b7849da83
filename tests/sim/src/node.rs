//! The Lightning node below the payment service: locked payments, and events that come until they are handled.
//!
//! As MONEY demands of a fake: a claim that is answered "ok" proves nothing, a payment that reaches its deadline goes
//! back without an event, an invoice whose payment went back can be paid again. As ldk-node does, it turns away a
//! payment of an invoice that its record calls paid, and overwrites that record when it is told to fail the invoice.

use std::collections::VecDeque;

use ailayer_primitives::{AmountMsat, UnixMs};
use uuid::Uuid;

/// Where a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HtlcState {
    Locked,
    Claimed,
    Refunded,
}

/// One payment of a payer.
#[derive(Debug, Clone, Copy)]
pub struct Htlc {
    pub invoice_id: Uuid,
    pub amount: AmountMsat,
    pub deadline: u32,
    pub state: HtlcState,
}

/// What the node tells the service, again and again until it is handled.
#[derive(Debug, Clone, Copy)]
pub enum NodeEvent {
    Claimable { invoice_id: Uuid, amount: AmountMsat, deadline: u32 },
    Received { invoice_id: Uuid, amount: AmountMsat },
}

/// An invoice as the node knows it.
#[derive(Debug, Clone, Copy)]
struct Issued {
    invoice_id: Uuid,
    amount: AmountMsat,
    expiry: UnixMs,
    /// The node's record says that it was paid.
    is_paid: bool,
}

/// The node.
#[derive(Debug)]
pub struct Node {
    /// The height it has seen, which lags behind while it is not in sync.
    pub height: u32,
    pub is_synced: bool,
    pub htlcs: Vec<Htlc>,
    pub events: VecDeque<NodeEvent>,
    issued: Vec<Issued>,
}

/// The node takes payments for a while past the expiry.
const GRACE_MS: u64 = 2 * 3600 * 1000;

impl Node {
    pub fn new(height: u32) -> Self {
        Self { height, is_synced: true, htlcs: Vec::new(), events: VecDeque::new(), issued: Vec::new() }
    }

    /// `receive_for_hash`.
    pub fn make_invoice(&mut self, invoice_id: Uuid, amount: AmountMsat, expiry: UnixMs) {
        self.issued.retain(|issued| issued.invoice_id != invoice_id);
        self.issued.push(Issued { invoice_id, amount, expiry, is_paid: false });
    }

    /// A payer pays. False if the payment is turned away at once: too little, too much, too late, or one is in the way.
    pub fn pay(&mut self, invoice_id: Uuid, amount: AmountMsat, deadline: u32, now: UnixMs) -> bool {
        let Some(issued) = self.issued.iter().find(|issued| issued.invoice_id == invoice_id) else {
            return false;
        };
        let fits = amount >= issued.amount && amount.msat() / 2 <= issued.amount.msat();
        let is_late = now.0 > issued.expiry.0.saturating_add(GRACE_MS);
        if !fits || is_late || issued.is_paid || deadline <= self.height || self.locked(invoice_id).is_some()
        {
            return false;
        }
        self.htlcs.push(Htlc { invoice_id, amount, deadline, state: HtlcState::Locked });
        self.events.push_back(NodeEvent::Claimable { invoice_id, amount, deadline });
        true
    }

    /// `claim_for_hash`: takes what is locked, if anything is.
    pub fn claim(&mut self, invoice_id: Uuid) {
        if let Some(htlc) = self.locked_mut(invoice_id) {
            htlc.state = HtlcState::Claimed;
            let amount = htlc.amount;
            self.events.push_back(NodeEvent::Received { invoice_id, amount });
            self.record(invoice_id, true);
        }
    }

    /// `fail_for_hash`: gives back what is locked, if anything is.
    pub fn fail_back(&mut self, invoice_id: Uuid) {
        if let Some(htlc) = self.locked_mut(invoice_id) {
            htlc.state = HtlcState::Refunded;
        }
        self.record(invoice_id, false);
    }

    /// The node's own record: whether it took a payment of this invoice, as far as it remembers.
    pub fn has_taken(&self, invoice_id: Uuid) -> bool {
        self.issued.iter().any(|issued| issued.invoice_id == invoice_id && issued.is_paid)
    }

    /// The node sees the chain up to `height`. What has reached its deadline goes back in silence; only its payer
    /// sees it.
    pub fn see(&mut self, height: u32) -> Vec<Htlc> {
        self.height = self.height.max(height);
        let height = self.height;
        let due = |htlc: &&mut Htlc| htlc.state == HtlcState::Locked && htlc.deadline <= height;
        let give_back = |htlc: &mut Htlc| {
            htlc.state = HtlcState::Refunded;
            *htlc
        };
        self.htlcs.iter_mut().filter(due).map(give_back).collect()
    }

    pub fn is_any_locked(&self) -> bool {
        self.htlcs.iter().any(|htlc| htlc.state == HtlcState::Locked)
    }

    pub fn taken(&self) -> impl Iterator<Item = &Htlc> {
        self.htlcs.iter().filter(|htlc| htlc.state == HtlcState::Claimed)
    }

    fn record(&mut self, invoice_id: Uuid, is_paid: bool) {
        let of_invoice = self.issued.iter_mut().filter(|issued| issued.invoice_id == invoice_id);
        of_invoice.for_each(|issued| issued.is_paid = is_paid);
    }

    fn locked(&self, invoice_id: Uuid) -> Option<&Htlc> {
        self.htlcs.iter().find(|htlc| htlc.invoice_id == invoice_id && htlc.state == HtlcState::Locked)
    }

    fn locked_mut(&mut self, invoice_id: Uuid) -> Option<&mut Htlc> {
        self.htlcs.iter_mut().find(|htlc| htlc.invoice_id == invoice_id && htlc.state == HtlcState::Locked)
    }
}
