//! The words of the transition function: what goes in, what comes out.

use ailayer_primitives::{AmountMsat, UnixMs};
use thiserror::Error;

use super::{Hold, State};
use crate::domain::release::ReleaseReason;

/// The limits that rules compare against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long the answer may take, from the moment money was locked, milliseconds.
    pub run_limit_ms: u64,
    /// How long the log may take, from the moment the receipt was stored, milliseconds.
    pub append_timeout_ms: u64,
    /// How long the buyer of a sealed answer may take to acknowledge it, from the moment it can be fetched, milliseconds.
    pub acknowledge_timeout_ms: u64,
    /// Blocks that must remain before the claim deadline when the claim is authorised.
    pub claim_margin_blocks: u32,
}

/// What the world looks like while a decision is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The database's clock.
    pub now: UnixMs,
    /// The height of the Lightning node's tip; none if the node is unreachable or not in sync.
    pub tip_height: Option<u32>,
    /// The limits in force.
    pub rules: Rules,
}

/// What happened to a job, or is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The payment service holds money for the job.
    HoldAccepted(Hold),
    /// The invoice ran out unpaid.
    HoldExpired,
    /// The payment service gave the money back.
    HoldReleased,
    /// The claim completed: the node owns the money.
    HoldClaimed {
        /// What was taken.
        amount: AmountMsat,
    },
    /// The claim came too late.
    HoldLost,
    /// The buyer gives up.
    Cancel,
    /// Time passed: whatever has run out ends.
    Tick,
    /// A driver wants to run the model; it holds the job's lease.
    BeginAttempt,
    /// An attempt ended for good without an answer.
    AttemptFailed {
        /// Which attempt.
        attempt: u32,
        /// Why.
        reason: ReleaseReason,
    },
    /// An attempt's answer and its signed receipt are ready to be stored.
    Answered {
        /// Which attempt.
        attempt: u32,
        /// What the receipt says will be taken.
        charge: AmountMsat,
    },
    /// The audit log has sequenced the receipt.
    ReceiptAppended,
    /// The buyer of a sealed answer has the ciphertext that the receipt names.
    Acknowledged,
    /// The audit log refuses the receipt for good.
    AppendRefused,
    /// The payment service's row says that the invoice is released, or expired unpaid.
    ReleaseConfirmed,
}

impl Input {
    /// Whether it tells of an invoice.
    pub const fn is_of_payment(&self) -> bool {
        matches!(
            self,
            Self::HoldAccepted(_)
                | Self::HoldExpired
                | Self::HoldReleased
                | Self::HoldClaimed { .. }
                | Self::HoldLost
                | Self::ReleaseConfirmed
        )
    }
}

/// How a job that had a receipt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The money was taken.
    Settled,
    /// The money went back.
    Voided,
    /// The claim failed; written off.
    Lost,
}

/// What has to be done about a transition.
///
/// [`Effect::PostSettlement`], [`Effect::PostWriteOff`], [`Effect::Capture`], [`Effect::Void`] and [`Effect::AppendClosing`]
/// are written in the transaction of the transition; the others are calls that follow it and may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Run the model under this attempt number.
    RunModel {
        /// The attempt.
        attempt: u32,
    },
    /// Append the stored receipt to the audit log.
    AppendReceipt,
    /// Ask for the tip, and authorise the claim of an acknowledged answer by it.
    AuthoriseClaim,
    /// Ask the payment service to take the money.
    ClaimInvoice,
    /// Ask the payment service to give the money back, now and whenever more comes.
    ReleaseInvoice {
        /// Why.
        reason: ReleaseReason,
    },
    /// Post the sale to the ledger.
    PostSettlement {
        /// What was taken.
        amount: AmountMsat,
    },
    /// Post the loss to the ledger.
    PostWriteOff,
    /// Take what was used of the reservation; the rest is free again.
    Capture {
        /// What was used.
        amount: AmountMsat,
    },
    /// Free the reservation.
    Void,
    /// Sign the closing entry and hand it to the outbox.
    AppendClosing {
        /// What it says.
        outcome: Outcome,
    },
}

/// What is noted about a sealed job that stays in its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The receipt is in the log.
    Appended,
    /// The buyer has the ciphertext.
    Acknowledged,
}

/// The answer to an input: the state to write and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The state the job had.
    pub from: State,
    /// The state it has now; the same as `from` when nothing moves.
    pub to: State,
    /// The attempt that this transition begins, when it begins one.
    pub attempt: Option<u32>,
    /// The hold to store, when money was just locked.
    pub hold: Option<Hold>,
    /// What will be taken, to store with the answer.
    pub charge: Option<AmountMsat>,
    /// The reason to store, when the job starts to give money back.
    pub release_reason: Option<ReleaseReason>,
    /// What to note, when a sealed answer comes a step further.
    pub mark: Option<Mark>,
    /// What to do.
    pub effects: Vec<Effect>,
}

impl Transition {
    /// True if a row must be written: the state moves, another attempt begins, or something is noted.
    pub fn is_change(&self) -> bool {
        self.from != self.to || self.attempt.is_some() || self.mark.is_some()
    }
}

/// An input that a job does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// The buyer's wish comes too late.
    #[error("a job in state {0} cannot be canceled")]
    TooLateToCancel(State),
    /// There is no ciphertext to be acknowledged yet.
    #[error("a job in state {0} has nothing to acknowledge yet")]
    NothingToAcknowledge(State),
    /// The money goes back, or has gone back.
    #[error("it is too late to acknowledge: the job is {0}")]
    TooLateToAcknowledge(State),
    /// The answer is in the clear.
    #[error("the job has no sealed answer")]
    NotSealed,
    /// The work belongs to an attempt or a state that has passed; its result is dropped.
    #[error("the result is stale: the job is in state {0}")]
    Stale(State),
    /// The claim cannot be authorised while the tip is unknown; try again.
    #[error("the chain tip is not known")]
    TipUnknown,
    /// The receipt would take more than was quoted. It cannot happen; nothing is stored.
    #[error("the charge is above the quoted price")]
    AboveQuote,
    /// An event that cannot follow from what this job authorised. It needs a person.
    #[error("an event contradicts the job's state {0}")]
    Contradiction(State),
}
