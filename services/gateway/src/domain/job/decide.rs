//! What an input does to a job: the transition function.

use ailayer_primitives::AmountMsat;

use super::{Context, Effect, Hold, Input, Job, Outcome, Rail, Refused, State, Transition};
use crate::domain::release::ReleaseReason;

impl Job {
    /// Decides what `input` does to this job. Never moves out of a terminal state, never releases from
    /// TAKING, and authorises a claim only when the receipt is stored and
    /// logged, and a sealed answer acknowledged.
    pub fn decide(&self, input: Input, context: &Context) -> Result<Transition, Refused> {
        if self.rail == Rail::Prepaid && input.is_of_payment() {
            // There is no invoice that such an event could be about.
            return Err(Refused::Contradiction(self.state));
        }
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
            Input::Answered { attempt, charge } => self.complete(attempt, charge, context),
            Input::ReceiptAppended => self.authorise_claim(context),
            Input::Acknowledged => self.acknowledge(context),
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
            State::Completed => {
                self.delivery_is_over(context).map_or_else(|| self.stay(), |reason| self.release(reason))
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

    fn complete(&self, attempt: u32, charge: AmountMsat, context: &Context) -> Result<Transition, Refused> {
        self.require_attempt(attempt)?;
        if charge > self.price {
            return Err(Refused::AboveQuote);
        }
        if self.run_time_is_over(context) {
            return Ok(self.release(ReleaseReason::RunLimit));
        }
        let effects = vec![Effect::AppendReceipt];
        Ok(Transition { charge: Some(charge), effects, ..self.to(State::Completed) })
    }

    fn authorise_claim(&self, context: &Context) -> Result<Transition, Refused> {
        match self.state {
            State::Completed if self.has_receipt() && self.rail == Rail::Prepaid => Ok(self.capture()),
            State::Completed if self.has_receipt() && self.awaits_acknowledgement() => Ok(self.note_append()),
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

    /// Row 8 of a prepaid job: the capture is our own, so it happens with the decision.
    fn capture(&self) -> Transition {
        let amount = self.charge.unwrap_or(self.price);
        let outcome = Outcome::Settled;
        let effects = vec![Effect::Capture { amount }, Effect::AppendClosing { outcome }];
        Transition { effects, ..self.to(State::Settled) }
    }

    fn confirm_release(&self) -> Transition {
        let (State::Releasing, Some(reason)) = (self.state, self.release_reason) else { return self.stay() };
        Transition { effects: self.voided(), ..self.to(reason.terminal_state()) }
    }

    /// The closing entry that a receipt is owed whose money went back.
    fn voided(&self) -> Vec<Effect> {
        let closing = Effect::AppendClosing { outcome: Outcome::Voided };
        if self.has_receipt() { vec![closing] } else { Vec::new() }
    }

    fn write_off(&self) -> Transition {
        let effects = vec![Effect::PostWriteOff, Effect::AppendClosing { outcome: Outcome::Lost }];
        Transition { effects, ..self.to(State::Lost) }
    }

    fn release_from(&self, states: &[State], reason: ReleaseReason) -> Transition {
        if states.contains(&self.state) { self.release(reason) } else { self.stay() }
    }

    /// To RELEASING, or for a prepaid job straight to its end; callers have checked that the state is releasable, and this
    /// checks again.
    fn release(&self, reason: ReleaseReason) -> Transition {
        if !self.state.is_releasable() {
            return self.stay();
        }
        if self.rail == Rail::Prepaid {
            let effects = std::iter::once(Effect::Void).chain(self.voided()).collect();
            let to = self.to(reason.terminal_state());
            return Transition { release_reason: Some(reason), effects, ..to };
        }
        let effects = vec![Effect::ReleaseInvoice { reason }];
        Transition { release_reason: Some(reason), effects, ..self.to(State::Releasing) }
    }

    fn release_again(&self) -> Transition {
        let reason = self.release_reason.unwrap_or(ReleaseReason::QuoteExpired);
        Transition { effects: vec![Effect::ReleaseInvoice { reason }], ..self.stay() }
    }

    pub(super) fn stay(&self) -> Transition {
        self.to(self.state)
    }

    fn to(&self, to: State) -> Transition {
        Transition {
            from: self.state,
            to,
            attempt: None,
            hold: None,
            charge: None,
            release_reason: None,
            mark: None,
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

    /// `tip <= claim_deadline - margin`; always for money that has no deadline.
    fn claim_is_safe(&self, tip: u32, context: &Context) -> bool {
        let Some(hold) = self.hold else { return false };
        hold.claim_deadline_height.is_none_or(|deadline| {
            tip.checked_add(context.rules.claim_margin_blocks).is_some_and(|height| height <= deadline)
        })
    }
}
