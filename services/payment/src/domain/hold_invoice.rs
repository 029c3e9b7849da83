//! The hold invoice: money that is locked first and taken, or given back, later.
//!
//! ```text
//!            create            opened            claimable             claim               received
//!  (none) ─────────▶ INTENT ─────────▶ OPEN ─────────────▶ ACCEPTED ─────────▶ CLAIM_     ─────────▶ CLAIMED
//!                      │                │ │ expiry            │               REQUESTED
//!                      │                │ └──────▶ EXPIRED    │                   │ deadline passed,
//!                      │ release        │ release,            │ release,          │ no event
//!                      │                │ unfit money         │ guard             └───────────────▶ LOST
//!                      │                ▼                     ▼
//!                      └──▶ RELEASED ◀── RELEASE_REQUESTED ◀──┘
//! ```
//!
//! Two promises, each a property test: once CLAIM_REQUESTED nothing gives the money back, and once
//! RELEASE_REQUESTED nothing takes it. The node's return values are no evidence (a second claim, or a
//! fail after a claim, also answers "ok"), so every decision is made from our own row, and every event
//! of the node is read by the row's state: the same event may come twice, late, or after a fail-back.

use ailayer_primitives::{AmountMsat, Digest, PaymentHash, UnixMs, UnixS};

use super::event::EventKind;
use super::invoice_id::InvoiceId;

mod decide;
pub use decide::{Claimable, Conditions, Input, Margins, NodeCall, Refused, Transition, decide, reasons};

/// Where a hold invoice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldState {
    /// The row exists; the invoice's text was not given out yet.
    Intent,
    /// The invoice can be paid.
    Open,
    /// Money is locked to it.
    Accepted,
    /// The claim is authorised; nothing may release any more.
    ClaimRequested,
    /// The preimage is durable in the node's channel monitor.
    Claimed,
    /// A claim was authorised and did not happen before the deadline.
    Lost,
    /// Money is to be given back; nothing may claim any more.
    ReleaseRequested,
    /// Money was given back, or will be whenever it comes.
    Released,
    /// Not paid in time; money that comes later is failed back.
    Expired,
}

impl HoldState {
    /// Every state, in the order of the drawing.
    pub const ALL: [Self; 9] = [
        Self::Intent,
        Self::Open,
        Self::Accepted,
        Self::ClaimRequested,
        Self::Claimed,
        Self::Lost,
        Self::ReleaseRequested,
        Self::Released,
        Self::Expired,
    ];

    /// The name in the database, the logs and the metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "INTENT",
            Self::Open => "OPEN",
            Self::Accepted => "ACCEPTED",
            Self::ClaimRequested => "CLAIM_REQUESTED",
            Self::Claimed => "CLAIMED",
            Self::Lost => "LOST",
            Self::ReleaseRequested => "RELEASE_REQUESTED",
            Self::Released => "RELEASED",
            Self::Expired => "EXPIRED",
        }
    }

    /// The inverse of [`Self::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// True while money is locked to the invoice.
    pub const fn holds_money(self) -> bool {
        matches!(self, Self::Accepted | Self::ClaimRequested)
    }
}

/// What the caller asked for. A repeated create must ask for exactly the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The exact price.
    pub amount: AmountMsat,
    /// What the invoice commits to.
    pub description_hash: Digest,
    /// How long it may be paid, seconds.
    pub expiry_s: u32,
}

/// Money that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// What arrived, not what was asked; once CLAIMED what was taken.
    pub amount: AmountMsat,
    /// The height at which the node gives it back by itself; `None` if the node named none.
    pub claim_deadline_height: Option<u32>,
    /// When this service learnt of it.
    pub accepted_at: UnixMs,
}

/// One row of the service's own truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldInvoice {
    /// The caller's id.
    pub invoice_id: InvoiceId,
    /// Of the derived preimage.
    pub payment_hash: PaymentHash,
    /// `None` for an id that was released before it was ever created.
    pub terms: Option<Terms>,
    /// The text; empty until OPEN.
    pub bolt11: String,
    /// Where it stands.
    pub state: HoldState,
    /// When it stops being payable; provisional until OPEN.
    pub expiry: UnixS,
    /// What arrived, if anything did.
    pub hold: Option<Hold>,
    /// A short machine word; empty unless released.
    pub release_reason: String,
    /// Below this height the node is told again at every start to fail the payment hash back.
    pub fail_back_until_height: Option<u32>,
}

impl HoldInvoice {
    /// A fresh INTENT.
    pub fn intent(invoice_id: InvoiceId, payment_hash: PaymentHash, terms: Terms, now: UnixS) -> Self {
        Self {
            invoice_id,
            payment_hash,
            terms: Some(terms),
            bolt11: String::new(),
            state: HoldState::Intent,
            expiry: UnixS(now.0.saturating_add(u64::from(terms.expiry_s))),
            hold: None,
            release_reason: String::new(),
            fail_back_until_height: None,
        }
    }

    /// The memory of an id that was released before it was created, so that a late create is refused.
    pub fn tombstone(invoice_id: InvoiceId, payment_hash: PaymentHash, reason: String) -> Self {
        Self {
            invoice_id,
            payment_hash,
            terms: None,
            bolt11: String::new(),
            state: HoldState::Released,
            expiry: UnixS(0),
            hold: None,
            release_reason: reason,
            fail_back_until_height: None,
        }
    }

    /// The price; nothing for a tombstone.
    pub fn price(&self) -> AmountMsat {
        self.terms.map_or(AmountMsat::ZERO, |terms| terms.amount)
    }

    /// The height before which a claim must be done, while money is held.
    pub fn claim_deadline(&self) -> Option<u32> {
        self.hold.and_then(|hold| hold.claim_deadline_height)
    }

    /// The row as it is after a transition. `reason` is the caller's word for a requested release.
    #[must_use]
    pub fn after(&self, transition: &Transition, reason: Option<&str>, now: UnixMs) -> Self {
        let mut next = self.clone();
        next.state = transition.to;
        if let Some(arrived) = transition.arrived {
            next.hold = Some(Hold {
                amount: arrived.amount,
                claim_deadline_height: arrived.claim_deadline_height,
                accepted_at: now,
            });
        }
        if let (Some(taken), Some(hold)) = (transition.taken, next.hold.as_mut()) {
            hold.amount = taken;
        }
        next.fail_back_until_height = self.fail_back_until_height.max(transition.fail_back_until_height);
        if self.release_reason.is_empty()
            && matches!(next.state, HoldState::ReleaseRequested | HoldState::Released)
        {
            next.release_reason = transition.reason.or(reason).unwrap_or_default().to_owned();
        }
        next
    }
}

/// The event that tells consumers of a transition into this state, if there is one.
pub(super) const fn event_of(state: HoldState) -> Option<EventKind> {
    match state {
        HoldState::Accepted => Some(EventKind::HoldInvoiceAccepted),
        HoldState::Claimed => Some(EventKind::HoldInvoiceClaimed),
        HoldState::Lost => Some(EventKind::HoldInvoiceLost),
        HoldState::Released => Some(EventKind::HoldInvoiceReleased),
        HoldState::Expired => Some(EventKind::HoldInvoiceExpired),
        HoldState::Intent | HoldState::Open | HoldState::ClaimRequested | HoldState::ReleaseRequested => None,
    }
}

#[cfg(test)]
mod tests;
