//! What an input does to a job: the transition function and its vocabulary.

use ailayer_primitives::{AmountMsat, UnixMs};
use thiserror::Error;

use super::{Hold, Job, State};
use crate::domain::release::ReleaseReason;

/// The limits that rules compare against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How long the answer may take, from the moment money was locked, milliseconds.
    pub run_limit_ms: u64,
    /// How long the log may take, from the moment the receipt was stored, milliseconds.
    pub append_timeout_ms: u64,
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
    },
    /// The audit log has sequenced the receipt.
    ReceiptAppended,
    /// The audit log refuses the receipt for good.
    AppendRefused,
    /// The payment service's row says that the invoice is released, or expired unpaid.
    ReleaseConfirmed,
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
/// [`Effect::PostSettlement`], [`Effect::PostWriteOff`] and [`Effect::AppendClosing`] are written in the transaction of the
/// transition; the others are calls that follow it and may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Run the model under this attempt number.
    RunModel {
        /// The attempt.
        attempt: u32,
    },
    /// Append the stored receipt to the audit log.
    AppendReceipt,
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
    /// Sign the closing entry and hand it to the outbox.
    AppendClosing {
        /// What it says.
        outcome: Outcome,
    },
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
    /// The reason to store, when the job starts to give money back.
    pub release_reason: Option<ReleaseReason>,
    /// What to do.
    pub effects: Vec<Effect>,
}

impl Transition {
    /// True if a row must be written: the state moves, or another attempt begins.
    pub fn is_change(&self) -> bool {
        self.from != self.to || self.attempt.is_some()
    }
}

/// An input that a job does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// The buyer's wish comes too late.
    #[error("a job in state {0} cannot be canceled")]
    TooLateToCancel(State),
    /// The work belongs to an attempt or a state that has passed; its result is dropped.
    #[error("the result is stale: the job is in state {0}")]
    Stale(State),
    /// The claim cannot be authorised while the tip is unknown; try again.
    #[error("the chain tip is not known")]
    TipUnknown,
    /// An event that cannot follow from what this job authorised. It needs a person.
    #[error("an event contradicts the job's state {0}")]
    Contradiction(State),
}

impl Job {
    /// Decides what `input` does to this job. Never moves out of a terminal state, never releases from
    /// TAKING, and authorises a claim only when the receipt is stored and logged.
    pub fn decide(&self, input: Input, context: &Context) -> Result<Transition, Refused> {
        match input {
            Input::HoldAccepted(hold) => Ok(self.accept(hold, context)),
            Input::HoldExpired => Ok(self.release_from(&[State::Quoted], ReleaseReason::QuoteExpired)),
            Input::HoldReleased => Ok(self.released_by_payment()),
            Input::HoldClaimed { amount } => self.settle(amount),
            Input::HoldLost => self.lose(),
            Input::Cancel => self.cancel(),
            Input::Tick => Ok(self.tick(context)),
            Input::BeginAttempt => self.begin_attempt(context),
            Input::AttemptFailed { attempt, reason } => {
                self.require_attempt(attempt)?;
                Ok(self.release(reason))
            }
            Input::Answered { attempt } => self.complete(attempt, context),
            Input::ReceiptAppended => self.authorise_claim(context),
            Input::AppendRefused => match self.state {
                State::Completed => Ok(self.release(ReleaseReason::ReceiptFailed)),
                state => Err(Refused::Stale(state)),
            },
            Input::ReleaseConfirmed => Ok(self.confirm_release()),
        }
    }

    fn accept(&self, hold: Hold, context: &Context) -> Transition {
        match self.state {
            State::Quoted if context.now >= self.expiry => self.release(ReleaseReason::QuoteExpired),
            State::Quoted if hold.amount < self.price => self.release(ReleaseReason::Underpaid),
            State::Quoted => {
                // A clock that runs ahead must not lengthen the run limit.
                let accepted_at = hold.accepted_at.min(context.now);
                let hold = Hold { accepted_at, ..hold };
                let effects = vec![Effect::RunModel { attempt: 1 }];
                Transition { hold: Some(hold), effects, ..self.to(State::Held) }
            }
            // Money that comes to a job that has given up, or again: it goes back.
            State::Releasing | State::Failed | State::Canceled | State::Expired => self.release_again(),
            // A repeated event.
            State::Held
            | State::Running
            | State::Completed
            | State::Taking
            | State::Settled
            | State::Lost => self.stay(),
        }
    }

    fn released_by_payment(&self) -> Transition {
        match self.state {
            State::Quoted | State::Held | State::Running | State::Completed => {
                self.release(ReleaseReason::HoldReleased)
            }
            // The guard won the compare-and-set in the payment service: served, and not paid.
            State::Taking => self.write_off(),
            State::Releasing => self.confirm_release(),
            State::Settled | State::Lost | State::Failed | State::Canceled | State::Expired => self.stay(),
        }
    }

    fn settle(&self, amount: AmountMsat) -> Result<Transition, Refused> {
        match self.state {
            State::Taking => {
                let effects = vec![
                    Effect::PostSettlement { amount },
                    Effect::AppendClosing { outcome: Outcome::Settled },
                ];
                Ok(Transition { effects, ..self.to(State::Settled) })
            }
            State::Settled => Ok(self.stay()),
            state => Err(Refused::Contradiction(state)),
        }
    }

    fn lose(&self) -> Result<Transition, Refused> {
        match self.state {
            State::Taking => Ok(self.write_off()),
            State::Lost => Ok(self.stay()),
            state => Err(Refused::Contradiction(state)),
        }
    }

    fn cancel(&self) -> Result<Transition, Refused> {
        match self.state {
            State::Quoted | State::Held | State::Running => Ok(self.release(ReleaseReason::Canceled)),
            // What the buyer wants has happened already, or is happening.
            State::Releasing | State::Failed | State::Canceled | State::Expired => Ok(self.stay()),
            State::Completed | State::Taking | State::Settled | State::Lost => {
                Err(Refused::TooLateToCancel(self.state))
            }
        }
    }

    fn tick(&self, context: &Context) -> Transition {
        match self.state {
            State::Quoted if context.now >= self.expiry => self.release(ReleaseReason::QuoteExpired),
            State::Held | State::Running if self.run_time_is_over(context) => {
                self.release(ReleaseReason::RunLimit)
            }
            State::Completed if self.append_time_is_over(context) => {
                self.release(ReleaseReason::AuditUnavailable)
            }
            _ => self.stay(),
        }
    }

    fn begin_attempt(&self, context: &Context) -> Result<Transition, Refused> {
        match self.state {
            State::Held | State::Running if self.run_time_is_over(context) => {
                Ok(self.release(ReleaseReason::RunLimit))
            }
            // Without a known tip compute is still worth starting; the claim is checked again.
            State::Held | State::Running
                if context.tip_height.is_some_and(|tip| !self.claim_is_safe(tip, context)) =>
            {
                Ok(self.release(ReleaseReason::DeadlineTooClose))
            }
            State::Held | State::Running => {
                let attempt = self.attempt.saturating_add(1);
                let effects = vec![Effect::RunModel { attempt }];
                Ok(Transition { attempt: Some(attempt), effects, ..self.to(State::Running) })
            }
            state => Err(Refused::Stale(state)),
        }
    }

    fn complete(&self, attempt: u32, context: &Context) -> Result<Transition, Refused> {
        self.require_attempt(attempt)?;
        if self.run_time_is_over(context) {
            return Ok(self.release(ReleaseReason::RunLimit));
        }
        Ok(Transition { effects: vec![Effect::AppendReceipt], ..self.to(State::Completed) })
    }

    fn authorise_claim(&self, context: &Context) -> Result<Transition, Refused> {
        match self.state {
            State::Completed if self.has_receipt() => {
                let tip = context.tip_height.ok_or(Refused::TipUnknown)?;
                if !self.claim_is_safe(tip, context) {
                    return Ok(self.release(ReleaseReason::DeadlineTooClose));
                }
                Ok(Transition { effects: vec![Effect::ClaimInvoice], ..self.to(State::Taking) })
            }
            State::Taking => Ok(self.stay()),
            state => Err(Refused::Stale(state)),
        }
    }

    fn confirm_release(&self) -> Transition {
        let (State::Releasing, Some(reason)) = (self.state, self.release_reason) else { return self.stay() };
        let effects = if self.has_receipt() {
            vec![Effect::AppendClosing { outcome: Outcome::Voided }]
        } else {
            Vec::new()
        };
        Transition { effects, ..self.to(reason.terminal_state()) }
    }

    fn write_off(&self) -> Transition {
        let effects = vec![Effect::PostWriteOff, Effect::AppendClosing { outcome: Outcome::Lost }];
        Transition { effects, ..self.to(State::Lost) }
    }

    fn release_from(&self, states: &[State], reason: ReleaseReason) -> Transition {
        if states.contains(&self.state) { self.release(reason) } else { self.stay() }
    }

    /// To RELEASING; callers have checked that the state is releasable, and this checks again.
    fn release(&self, reason: ReleaseReason) -> Transition {
        if !self.state.is_releasable() {
            return self.stay();
        }
        let effects = vec![Effect::ReleaseInvoice { reason }];
        Transition { release_reason: Some(reason), effects, ..self.to(State::Releasing) }
    }

    fn release_again(&self) -> Transition {
        let reason = self.release_reason.unwrap_or(ReleaseReason::QuoteExpired);
        Transition { effects: vec![Effect::ReleaseInvoice { reason }], ..self.stay() }
    }

    fn stay(&self) -> Transition {
        self.to(self.state)
    }

    fn to(&self, to: State) -> Transition {
        Transition {
            from: self.state,
            to,
            attempt: None,
            hold: None,
            release_reason: None,
            effects: Vec::new(),
        }
    }

    fn require_attempt(&self, attempt: u32) -> Result<(), Refused> {
        if self.state == State::Running && self.attempt == attempt {
            Ok(())
        } else {
            Err(Refused::Stale(self.state))
        }
    }

    fn run_time_is_over(&self, context: &Context) -> bool {
        let Some(hold) = self.hold else { return true };
        context.now.0 >= hold.accepted_at.0.saturating_add(context.rules.run_limit_ms)
    }

    fn append_time_is_over(&self, context: &Context) -> bool {
        let Some(completed_at) = self.completed_at else { return true };
        context.now.0 >= completed_at.0.saturating_add(context.rules.append_timeout_ms)
    }

    /// `tip <= claim_deadline - margin`.
    fn claim_is_safe(&self, tip: u32, context: &Context) -> bool {
        let Some(hold) = self.hold else { return false };
        tip.checked_add(context.rules.claim_margin_blocks)
            .is_some_and(|height| height <= hold.claim_deadline_height)
    }
}
