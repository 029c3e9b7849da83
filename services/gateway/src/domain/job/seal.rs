//! A sealed answer: no claim before the buyer says that the ciphertext is there.
//!
//! ```text
//!                 receipt in the log:       the buyer has         tip is far
//!                 ciphertext fetchable      the ciphertext        enough
//!                 v                         v                     v
//!   COMPLETED --> COMPLETED, appended ----> COMPLETED, -------> TAKING
//!       |             |                     acknowledged
//!       v             v                        |
//!   RELEASING <--------------------------------+
//!     the log, the buyer or the chain took too long
//! ```

use ailayer_primitives::UnixMs;

use super::{Context, Effect, Job, Mark, Refused, State, Transition};
use crate::domain::release::ReleaseReason;

/// How far the delivery of a sealed answer has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seal {
    /// When it was noted that the receipt is in the log: from then on the ciphertext can be fetched.
    pub appended_at: Option<UnixMs>,
    /// When the buyer acknowledged the ciphertext.
    pub acknowledged_at: Option<UnixMs>,
}

impl Seal {
    pub(super) fn after(self, mark: Option<Mark>, now: UnixMs) -> Self {
        match mark {
            Some(Mark::Appended) => Self { appended_at: self.appended_at.or(Some(now)), ..self },
            Some(Mark::Acknowledged) => Self { acknowledged_at: self.acknowledged_at.or(Some(now)), ..self },
            None => self,
        }
    }
}

impl Job {
    /// True while a claim has to wait for the buyer.
    pub fn awaits_acknowledgement(&self) -> bool {
        self.seal.is_some_and(|seal| seal.acknowledged_at.is_none())
    }

    /// When the time for the acknowledgement is over; none before it runs, and once it was given.
    pub fn acknowledge_until(&self, context: &Context) -> Option<UnixMs> {
        let appended_at = self.seal.filter(|_| self.awaits_acknowledgement())?.appended_at?;
        Some(UnixMs(appended_at.0.saturating_add(context.rules.acknowledge_timeout_ms)))
    }

    /// Row 7 of a sealed job: the receipt is in the log, and the buyer's time begins.
    pub(super) fn note_append(&self) -> Transition {
        if self.seal.is_some_and(|seal| seal.appended_at.is_some()) {
            return self.stay();
        }
        Transition { mark: Some(Mark::Appended), ..self.stay() }
    }

    /// The buyer has the ciphertext that the receipt names: whoever calls has compared the digests.
    pub(super) fn acknowledge(&self, context: &Context) -> Result<Transition, Refused> {
        let Some(seal) = self.seal else { return Err(Refused::NotSealed) };
        match (self.state, seal) {
            (_, Seal { acknowledged_at: Some(_), .. }) => Ok(self.stay()),
            (State::Completed, Seal { appended_at: Some(_), .. }) => {
                if self.acknowledge_until(context).is_some_and(|until| context.now >= until) {
                    return Err(Refused::TooLateToAcknowledge(self.state));
                }
                let effects = vec![Effect::AuthoriseClaim];
                Ok(Transition { mark: Some(Mark::Acknowledged), effects, ..self.stay() })
            }
            (State::Quoted | State::Held | State::Running | State::Completed, _) => {
                Err(Refused::NothingToAcknowledge(self.state))
            }
            (state, _) => Err(Refused::TooLateToAcknowledge(state)),
        }
    }

    /// What has taken too long while COMPLETED: the log (or, once acknowledged, whatever keeps the claim from being
    /// authorised), or the buyer.
    pub(super) fn delivery_is_over(&self, context: &Context) -> Option<ReleaseReason> {
        let over = |since: Option<UnixMs>, limit_ms: u64| {
            since.is_none_or(|since| context.now.0 >= since.0.saturating_add(limit_ms))
        };
        let (append, acknowledge) = (context.rules.append_timeout_ms, context.rules.acknowledge_timeout_ms);
        let (is_over, reason) = match self.seal {
            Some(Seal { acknowledged_at: acknowledged @ Some(_), .. }) => {
                (over(acknowledged, append), ReleaseReason::AuditUnavailable)
            }
            Some(Seal { appended_at: appended @ Some(_), .. }) => {
                (over(appended, acknowledge), ReleaseReason::NotAcknowledged)
            }
            _ => (over(self.completed_at, append), ReleaseReason::AuditUnavailable),
        };
        is_over.then_some(reason)
    }
}
