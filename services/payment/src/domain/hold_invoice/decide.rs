//! The one function that moves a hold invoice.

use ailayer_primitives::{AmountMsat, UnixS};
use thiserror::Error;

use super::{HoldInvoice, HoldState, event_of};
use crate::domain::event::EventKind;

/// Why the service itself gave money back. Stable machine words.
pub mod reasons {
    /// The claim deadline came close while nobody had claimed.
    pub const DEADLINE: &str = "deadline";
    /// Another amount than the price arrived.
    pub const AMOUNT_MISMATCH: &str = "amount_mismatch";
    /// The node named no claim deadline.
    pub const NO_CLAIM_DEADLINE: &str = "no_claim_deadline";
    /// The money arrived with too few blocks left to serve and claim.
    pub const DEADLINE_TOO_CLOSE: &str = "deadline_too_close";
    /// The node's view of the chain was too old to lock money by.
    pub const NOT_SYNCED: &str = "not_synced";
    /// As many holds are accepted as this node allows.
    pub const TOO_MANY_HOLDS: &str = "too_many_holds";
    /// Another payment came for an invoice whose first payment the node had already given back.
    pub const REPLACED: &str = "replaced";
    /// The create was never finished before the invoice's time ran out.
    pub const ABANDONED: &str = "abandoned";
}

/// How long money without a named deadline is failed again at start: a fortnight of blocks, the
/// longest an HTLC may reach into the future.
const UNNAMED_DEADLINE_BLOCKS: u32 = 2016;

/// How close to the claim deadline the service acts. Blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Margins {
    /// A claim is authorised only while `tip <= deadline - claim_blocks`.
    pub claim_blocks: u32,
    /// The guard gives back as soon as `tip >= deadline - guard_blocks`. Smaller than `claim_blocks`, so
    /// that no height allows both.
    pub guard_blocks: u32,
}

/// Money that the node reports as locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimable {
    /// What arrived.
    pub amount: AmountMsat,
    /// When the node gives it back by itself.
    pub claim_deadline_height: Option<u32>,
}

/// What a hold is accepted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conditions {
    /// The node's tip.
    pub tip: u32,
    /// Whether the node's view is fresh enough: an old tip makes a near deadline look far away.
    pub in_sync: bool,
    /// Whether one more hold may be accepted.
    pub slot_free: bool,
}

/// What happened, or was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The caller repeats its create.
    Create,
    /// The node made the invoice's text.
    Opened,
    /// The node reports locked money.
    Claimable {
        /// The money.
        money: Claimable,
        /// What it is accepted by, if the row may still accept any.
        conditions: Conditions,
    },
    /// The caller authorises the claim.
    RequestClaim {
        /// The node's tip.
        tip: u32,
    },
    /// The node reports that the preimage is durable.
    Received {
        /// What the node took. An HTLC is claimed whole, so this and nothing else is what the node holds.
        amount: AmountMsat,
    },
    /// The caller gives the money back.
    RequestRelease,
    /// The node was told to fail the money back.
    FailedBack,
    /// Time passed.
    Tick {
        /// The node's tip.
        tip: u32,
        /// The wall clock.
        now: UnixS,
        /// True when the node is in sync, its event queue is empty and its own record shows no receipt, and
        /// all that has been so for the settle time: only then does a missing event mean anything.
        events_drained: bool,
    },
}

/// What the node is told after the transition is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeCall {
    /// `receive_for_hash`. Only ever while the row is INTENT: on a later row it would reset the node's record.
    MakeInvoice,
    /// `claim_for_hash`.
    Claim,
    /// `fail_for_hash`. Never for a payment whose claim was authorised; a second one of the same hash goes back (ADR 7).
    FailBack,
}

/// What to write, say and do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The next state; the same state when nothing moves.
    pub to: HoldState,
    /// The call that follows the durable write.
    pub call: Option<NodeCall>,
    /// The event that goes into the same transaction.
    pub event: Option<EventKind>,
    /// The service's own word for the release.
    pub reason: Option<&'static str>,
    /// The money to record with the transition.
    pub arrived: Option<Claimable>,
    /// What the node took, to record with the transition.
    pub taken: Option<AmountMsat>,
    /// Below this height the fail-back is repeated at every start.
    pub fail_back_until_height: Option<u32>,
}

/// Why an input does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// The state does not allow it.
    #[error("the hold invoice is {}", .0.as_str())]
    InvalidState(HoldState),
    /// Too few blocks are left to claim safely.
    #[error("the claim deadline {deadline} is too close at height {tip}")]
    DeadlineTooClose {
        /// The claim deadline, a height.
        deadline: u32,
        /// The node's tip.
        tip: u32,
    },
    /// The node reports something that our own row says cannot be. Never guessed away: recorded and shown.
    #[error("the node reports a receipt for a hold invoice that is {}", .0.as_str())]
    Unauthorised(HoldState),
}

type Decision = Result<Transition, Refused>;

/// Decides what an input means for a row. Pure: the same row and input give the same answer.
pub fn decide(invoice: &HoldInvoice, input: &Input, margins: Margins) -> Decision {
    match *input {
        Input::Create => create(invoice),
        Input::Opened => match invoice.state {
            HoldState::Intent => Ok(go(HoldState::Open)),
            state => Err(Refused::InvalidState(state)),
        },
        Input::Claimable { money, conditions } => claimable(invoice, money, conditions, margins),
        Input::RequestClaim { tip } => request_claim(invoice, tip, margins),
        Input::Received { amount } => received(invoice, amount),
        Input::RequestRelease => request_release(invoice),
        Input::FailedBack => match invoice.state {
            HoldState::ReleaseRequested => Ok(go(HoldState::Released)),
            HoldState::Released => Ok(stay(invoice.state)),
            state => Err(Refused::InvalidState(state)),
        },
        Input::Tick { tip, now, events_drained } => Ok(tick(invoice, tip, now, events_drained, margins)),
    }
}

fn create(invoice: &HoldInvoice) -> Decision {
    match invoice.state {
        HoldState::Intent => Ok(Transition { call: Some(NodeCall::MakeInvoice), ..stay(HoldState::Intent) }),
        // Released before its text existed: the create came too late.
        state if invoice.bolt11.is_empty() => Err(Refused::InvalidState(state)),
        state => Ok(stay(state)),
    }
}

fn claimable(invoice: &HoldInvoice, money: Claimable, conditions: Conditions, margins: Margins) -> Decision {
    let unnamed = conditions.tip.saturating_add(UNNAMED_DEADLINE_BLOCKS);
    let fail_back_until = Some(money.claim_deadline_height.unwrap_or(unnamed));
    let fail_again = |state| Transition {
        call: Some(NodeCall::FailBack),
        fail_back_until_height: fail_back_until,
        ..stay(state)
    };
    let give_back = |reason| Transition {
        call: Some(NodeCall::FailBack),
        reason: Some(reason),
        arrived: Some(money),
        fail_back_until_height: fail_back_until,
        ..go(HoldState::ReleaseRequested)
    };
    Ok(match invoice.state {
        HoldState::Open => match unfit(invoice.price(), money, conditions, margins) {
            None => Transition { arrived: Some(money), ..go(HoldState::Accepted) },
            Some(reason) => give_back(reason),
        },
        HoldState::Accepted if same_money(invoice, money) => stay(HoldState::Accepted),
        // The node gave the first payment back (it was down past the deadline, say) and was paid again. What
        // the row describes is gone, so nothing is claimed on its strength.
        HoldState::Accepted => give_back(reasons::REPLACED),
        HoldState::ClaimRequested => {
            Transition { call: Some(NodeCall::Claim), ..stay(HoldState::ClaimRequested) }
        }
        // The text was never given out, or the matter is closed: whoever pays now is paid back. A payment
        // that comes after CLAIMED is a second one; the first is no longer claimable.
        state @ (HoldState::Intent
        | HoldState::Claimed
        | HoldState::Lost
        | HoldState::ReleaseRequested
        | HoldState::Released
        | HoldState::Expired) => fail_again(state),
    })
}

fn same_money(invoice: &HoldInvoice, money: Claimable) -> bool {
    invoice.hold.is_some_and(|hold| {
        hold.amount == money.amount && hold.claim_deadline_height == money.claim_deadline_height
    })
}

/// Why arriving money is not kept, if it is not. The price is exact: an HTLC is claimed whole, and there is
/// no way to give change, so an overpayment goes back like an underpayment (LDK lets up to twice the price
/// arrive).
fn unfit(
    price: AmountMsat,
    money: Claimable,
    conditions: Conditions,
    margins: Margins,
) -> Option<&'static str> {
    let Conditions { tip, in_sync, slot_free } = conditions;
    let Some(deadline) = money.claim_deadline_height else { return Some(reasons::NO_CLAIM_DEADLINE) };
    if money.amount != price {
        Some(reasons::AMOUNT_MISMATCH)
    } else if !in_sync {
        Some(reasons::NOT_SYNCED)
    } else if !before(tip, deadline, margins.claim_blocks) {
        Some(reasons::DEADLINE_TOO_CLOSE)
    } else if !slot_free {
        Some(reasons::TOO_MANY_HOLDS)
    } else {
        None
    }
}

fn request_claim(invoice: &HoldInvoice, tip: u32, margins: Margins) -> Decision {
    match (invoice.state, invoice.claim_deadline()) {
        (HoldState::Accepted, Some(deadline)) if before(tip, deadline, margins.claim_blocks) => {
            Ok(Transition { call: Some(NodeCall::Claim), ..go(HoldState::ClaimRequested) })
        }
        (HoldState::Accepted, deadline) => {
            Err(Refused::DeadlineTooClose { deadline: deadline.unwrap_or(0), tip })
        }
        (HoldState::ClaimRequested, Some(deadline)) if tip < deadline => {
            Ok(Transition { call: Some(NodeCall::Claim), ..stay(HoldState::ClaimRequested) })
        }
        (state @ (HoldState::ClaimRequested | HoldState::Claimed), _) => Ok(stay(state)),
        (state, _) => Err(Refused::InvalidState(state)),
    }
}

fn received(invoice: &HoldInvoice, amount: AmountMsat) -> Decision {
    match invoice.state {
        // Also another amount than was accepted: the node gave the first payment back, was paid again, and the claim
        // that was authorised took that one. What the node holds is what the row and its event must say.
        HoldState::ClaimRequested => Ok(Transition { taken: Some(amount), ..go(HoldState::Claimed) }),
        HoldState::Claimed if invoice.hold.is_some_and(|hold| hold.amount == amount) => {
            Ok(stay(HoldState::Claimed))
        }
        // Also LOST: the write-off was published, so late money is recorded beside the row, not hidden in it.
        state => Err(Refused::Unauthorised(state)),
    }
}

fn request_release(invoice: &HoldInvoice) -> Decision {
    match invoice.state {
        // Nothing is locked: if money comes all the same, the row's state sends it back.
        HoldState::Intent | HoldState::Open => Ok(go(HoldState::Released)),
        HoldState::Accepted => Ok(give_back_held(invoice, None)),
        HoldState::ReleaseRequested => Ok(Transition {
            call: Some(NodeCall::FailBack),
            fail_back_until_height: invoice.claim_deadline(),
            ..stay(HoldState::ReleaseRequested)
        }),
        state @ (HoldState::Released | HoldState::Expired) => Ok(stay(state)),
        state @ (HoldState::ClaimRequested | HoldState::Claimed | HoldState::Lost) => {
            Err(Refused::InvalidState(state))
        }
    }
}

fn tick(invoice: &HoldInvoice, tip: u32, now: UnixS, events_drained: bool, margins: Margins) -> Transition {
    let deadline = invoice.claim_deadline();
    match invoice.state {
        HoldState::Intent if now > invoice.expiry => {
            Transition { reason: Some(reasons::ABANDONED), ..go(HoldState::Released) }
        }
        HoldState::Open if now > invoice.expiry => go(HoldState::Expired),
        HoldState::Accepted
            if !deadline.is_some_and(|height| before(tip, height, margins.guard_blocks + 1)) =>
        {
            give_back_held(invoice, Some(reasons::DEADLINE))
        }
        HoldState::ClaimRequested if deadline.is_some_and(|height| tip < height) => {
            Transition { call: Some(NodeCall::Claim), ..stay(HoldState::ClaimRequested) }
        }
        HoldState::ClaimRequested if events_drained => go(HoldState::Lost),
        HoldState::ReleaseRequested if deadline.is_some_and(|height| tip >= height) => {
            go(HoldState::Released)
        }
        HoldState::ReleaseRequested => Transition {
            call: Some(NodeCall::FailBack),
            fail_back_until_height: deadline,
            ..stay(HoldState::ReleaseRequested)
        },
        state => stay(state),
    }
}

fn give_back_held(invoice: &HoldInvoice, reason: Option<&'static str>) -> Transition {
    Transition {
        call: Some(NodeCall::FailBack),
        reason,
        fail_back_until_height: invoice.claim_deadline(),
        ..go(HoldState::ReleaseRequested)
    }
}

/// True while `tip <= deadline - blocks`.
fn before(tip: u32, deadline: u32, blocks: u32) -> bool {
    tip.checked_add(blocks).is_some_and(|height| height <= deadline)
}

const fn go(to: HoldState) -> Transition {
    Transition { event: event_of(to), ..stay(to) }
}

const fn stay(state: HoldState) -> Transition {
    Transition {
        to: state,
        call: None,
        event: None,
        reason: None,
        arrived: None,
        taken: None,
        fail_back_until_height: None,
    }
}
