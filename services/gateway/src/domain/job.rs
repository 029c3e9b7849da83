//! One paid job: its states and every rule about moving between them.
//!
//! Pure. The store loads a [`Job`], asks [`Job::decide`], and writes the [`Transition`] with a
//! compare-and-set; the driver carries out what [`Job::pending`] says is still to be done, which is
//! also how a restarted gateway finds its place again.

mod decide;
mod rail;
mod seal;
mod state;
mod vocabulary;

use ailayer_primitives::{AmountMsat, UnixMs};

pub use rail::{Rail, UnknownRail};
pub use seal::Seal;
pub use state::{State, UnknownState};
pub use vocabulary::{Context, Effect, Input, Mark, Outcome, Refused, Rules, Transition};

use super::release::ReleaseReason;

/// The money that is locked to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// What arrived, at least the price; or what is reserved, the cap.
    pub amount: AmountMsat,
    /// The height at which the payer's money goes back by itself; a reservation never does.
    pub claim_deadline_height: Option<u32>,
    /// When the money was locked.
    pub accepted_at: UnixMs,
}

/// What the rules need to know about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// How it is paid.
    pub rail: Rail,
    /// Where it stands.
    pub state: State,
    /// The quoted price: exact on the hold rail, a cap on the prepaid one.
    pub price: AmountMsat,
    /// What will be taken, from COMPLETED on; never above the quoted price.
    pub charge: Option<AmountMsat>,
    /// When the quote ends.
    pub expiry: UnixMs,
    /// Attempts to run the model so far.
    pub attempt: u32,
    /// The locked money, from HELD on.
    pub hold: Option<Hold>,
    /// When answer and signed receipt were stored, from COMPLETED on.
    pub completed_at: Option<UnixMs>,
    /// Why it gives money back, from RELEASING on.
    pub release_reason: Option<ReleaseReason>,
    /// How far the delivery of a sealed answer has come; none for an answer in the clear.
    pub seal: Option<Seal>,
}

impl Job {
    /// What the gateway still owes in this state, whoever asks and however often; nothing when it is
    /// the turn of the buyer, of an event, or when the job has ended.
    ///
    /// Every effect named here may be repeated safely: that is what makes recovery by state possible.
    pub fn pending(&self) -> Option<Effect> {
        match self.state {
            State::Held | State::Running => {
                Some(Effect::RunModel { attempt: self.attempt.saturating_add(1) })
            }
            State::Completed => match self.seal {
                Some(Seal { appended_at: Some(_), acknowledged_at: None }) => None,
                Some(Seal { acknowledged_at: Some(_), .. }) => Some(Effect::AuthoriseClaim),
                _ => Some(Effect::AppendReceipt),
            },
            State::Taking => Some(Effect::ClaimInvoice),
            State::Releasing => self.release_reason.map(|reason| Effect::ReleaseInvoice { reason }),
            State::Quoted
            | State::Settled
            | State::Lost
            | State::Failed
            | State::Canceled
            | State::Expired => None,
        }
    }

    /// The job after a transition that was decided on it at `now`.
    pub fn after(&self, transition: &Transition, now: UnixMs) -> Self {
        let completes = transition.from != State::Completed && transition.to == State::Completed;
        Self {
            state: transition.to,
            attempt: transition.attempt.unwrap_or(self.attempt),
            hold: transition.hold.or(self.hold),
            charge: transition.charge.or(self.charge),
            completed_at: if completes { Some(now) } else { self.completed_at },
            release_reason: transition.release_reason.or(self.release_reason),
            seal: self.seal.map(|seal| seal.after(transition.mark, now)),
            ..self.clone()
        }
    }

    /// A prepaid job as it begins: the cap is reserved in the same commit, and the first attempt runs.
    pub const fn prepaid(cap: AmountMsat, now: UnixMs) -> Self {
        Self {
            rail: Rail::Prepaid,
            state: State::Running,
            price: cap,
            charge: None,
            expiry: now,
            attempt: 1,
            hold: Some(Hold { amount: cap, claim_deadline_height: None, accepted_at: now }),
            completed_at: None,
            release_reason: None,
            seal: None,
        }
    }

    /// True once answer and receipt are stored, so that the end of the job is owed a closing entry.
    pub fn has_receipt(&self) -> bool {
        self.completed_at.is_some()
    }
}

#[cfg(test)]
mod tests;
