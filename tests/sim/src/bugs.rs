//! Deliberate mistakes. Each sits at the one place where the shell would make it, and must be found.

use ailayer_gateway::domain::job::{Context, Input, Job, Refused, State, Transition};
use ailayer_primitives::AmountMsat;

/// A mistake that a gateway could make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The claim is authorised without the receipt in the log.
    ClaimBeforeAppend,
    /// A settled sale is not posted.
    SettleNotPosted,
    /// A deposit is credited when money is locked, not when it is taken.
    CreditOnAccepted,
    /// The inbox is not asked: a repeated event acts again.
    InboxIgnored,
    /// A failed job keeps its reservation.
    VoidSkipped,
    /// More is charged than the price or cap.
    ChargeAboveCap,
    /// A buyer may cancel after the claim was authorised.
    ReleaseAfterClaim,
    /// Lease and attempt number do not count: a late attempt writes its own receipt over the first.
    StaleAttemptStored,
    /// The closing entry goes into the outbox in a commit of its own.
    ClosingLost,
    /// A repeat is taken for a new request.
    RequestIdIgnored,
    /// The outbox forgets an item before the log has it.
    OutboxDoneFirst,
    /// After an unclear commit the reservation is written again under new ids.
    UnclearTakenForFailed,
    /// A coalesced change is written without a look at its row.
    ChangeUnchecked,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::ClaimBeforeAppend,
        Self::SettleNotPosted,
        Self::CreditOnAccepted,
        Self::InboxIgnored,
        Self::VoidSkipped,
        Self::ChargeAboveCap,
        Self::ReleaseAfterClaim,
        Self::StaleAttemptStored,
        Self::ClosingLost,
        Self::RequestIdIgnored,
        Self::OutboxDoneFirst,
        Self::UnclearTakenForFailed,
        Self::ChangeUnchecked,
    ];
}

/// The real rules, or with a mistake that the rules would not allow.
pub fn decide(bug: Option<Bug>, job: &Job, input: Input, context: &Context) -> Result<Transition, Refused> {
    match (bug, input) {
        (Some(Bug::ReleaseAfterClaim), Input::Cancel) if job.state == State::Taking => {
            let released = running(job).decide(input, context)?;
            Ok(Transition { from: job.state, ..released })
        }
        (Some(Bug::StaleAttemptStored), Input::Answered { charge, .. })
            if matches!(job.state, State::Running | State::Completed) =>
        {
            let current = Input::Answered { attempt: job.attempt, charge };
            let answered = running(job).decide(current, context)?;
            Ok(Transition { from: job.state, attempt: Some(job.attempt), ..answered })
        }
        (Some(Bug::ChargeAboveCap), Input::Answered { .. }) => {
            let answered = job.decide(input, context)?;
            let beyond = |charge: AmountMsat| charge.checked_add(job.price).unwrap_or(AmountMsat::MAX);
            Ok(Transition { charge: answered.charge.map(beyond), ..answered })
        }
        _ => job.decide(input, context),
    }
}

fn running(job: &Job) -> Job {
    Job { state: State::Running, ..job.clone() }
}
