//! What the gateway tells its operators. One function an event: log line and metric together.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use ailayer_client::CallError;
use ailayer_platform::telemetry::{Counter, Gauge, Histogram, counter, gauge, histogram};
use ailayer_primitives::{AmountMsat, JobId};
use uuid::Uuid;

use crate::domain::brake::Brake;
use crate::domain::deposit::DepositState;
use crate::domain::job::{State, Transition};
use crate::domain::ledger::correction::Subject;
use crate::domain::release::ReleaseReason;
use crate::store::JobRecord;

static TRANSITIONS: LazyLock<Counter> =
    LazyLock::new(|| counter("ailayer.job.transitions", "{transition}", "Changes of jobs' states."));
static RELEASES: LazyLock<Counter> =
    LazyLock::new(|| counter("ailayer.job.releases", "{job}", "Jobs that gave their money back, by reason."));
static SETTLED_MSAT: LazyLock<Counter> =
    LazyLock::new(|| counter("ailayer.job.settled_amount", "msat", "Prices of settled jobs."));
static LOST_MSAT: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.job.lost_amount", "msat", "Prices of jobs that were served and not paid.")
});
static DURATION: LazyLock<Histogram> = LazyLock::new(|| {
    histogram("ailayer.job.hold_duration", "s", "Time money was locked until the job ended, by its end.")
});
static ANOMALIES: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.job.anomalies", "{event}", "Payment events that contradict a job. Each needs a person.")
});
static DEPENDENCY_UP: LazyLock<Gauge> = LazyLock::new(|| {
    gauge("ailayer.dependency.up", "1", "1 while a service that is needed answers, else 0.")
});
static ERASED: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.job.results_erased", "{job}", "Inputs and outputs erased after retention.")
});
static LEDGER_OPERATIONS: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.ledger.operations", "{operation}", "Ledger operations answered, by kind and verdict.")
});
static LEDGER_BATCH: LazyLock<Histogram> = LazyLock::new(|| {
    histogram("ailayer.ledger.batch.operations", "{operation}", "Operations of a coalesced commit.")
});
static LEDGER_COMMIT: LazyLock<Histogram> = LazyLock::new(|| {
    histogram("ailayer.ledger.commit.duration", "s", "Time of a coalesced commit, locks and reads included.")
});
static LEDGER_QUEUE: LazyLock<Gauge> = LazyLock::new(|| {
    gauge("ailayer.ledger.queue.operations", "{operation}", "Operations left waiting by the last batch.")
});
static LEDGER_SHED: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.ledger.shed", "{operation}", "Operations refused because they had waited too long.")
});
static LEDGER_RETRIES: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.ledger.retries", "{batch}", "Coalesced commits that were tried again.")
});
static LEDGER_BISECTIONS: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.ledger.bisections", "{batch}", "Batches halved to find what the database refuses.")
});
static LEDGER_BATCHES: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.ledger.batches", "{batch}", "Batches of the ledger's writer, by how they were decided.")
});
static LEDGER_FAILED: LazyLock<Counter> = LazyLock::new(|| {
    counter(
        "ailayer.ledger.failed",
        "{operation}",
        "Operations without a verdict, by whether they may be applied.",
    )
});

static DEPOSITS: LazyLock<Counter> =
    LazyLock::new(|| counter("ailayer.deposit.transitions", "{transition}", "Changes of deposits' states."));
static CREDITED_MSAT: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.deposit.credited_amount", "msat", "What deposits have credited to balances.")
});
static ADJUSTMENTS: LazyLock<Counter> = LazyLock::new(|| {
    counter("ailayer.gateway.adjustments", "{step}", "Corrections of the books, proposed and applied.")
});
static ADJUSTED_MSAT: LazyLock<Counter> = LazyLock::new(|| {
    counter(
        "ailayer.gateway.adjusted_amount",
        "msat",
        "What corrections have debited and credited, by what they are of.",
    )
});
static BRAKE_ENGAGED: LazyLock<Gauge> = LazyLock::new(|| {
    gauge("ailayer.gateway.brake.engaged", "1", "1 while an operator's brake is on, else 0.")
});
static REFUSED: LazyLock<Counter> = LazyLock::new(|| {
    counter(
        "ailayer.gateway.refused",
        "{order}",
        "Orders refused for want of room, before anything was set aside.",
    )
});
static CLOCK_AHEAD: LazyLock<Gauge> = LazyLock::new(|| {
    gauge(
        "ailayer.gateway.clock.ahead",
        "s",
        "How far the database's clock is ahead of what is believed of it.",
    )
});

/// A coalesced commit is durable.
pub fn ledger_batch(operations: usize, duration: Duration) {
    LEDGER_BATCH.record(f64::from(u32::try_from(operations).unwrap_or(u32::MAX)), &[]);
    LEDGER_COMMIT.record(duration.as_secs_f64(), &[]);
}

/// How a batch was decided.
#[derive(Debug, Clone, Copy)]
pub enum Decided {
    /// From memory, and the rows were so.
    Recalled,
    /// From memory, in vain; it is decided again under locks, and counted again.
    Moved,
    /// Under locks.
    Locked,
}

/// A batch was decided.
pub fn ledger_decided(how: Decided) {
    let how = match how {
        Decided::Recalled => "recalled",
        Decided::Moved => "moved",
        Decided::Locked => "locked",
    };
    LEDGER_BATCHES.add(1, &[("decided", how)]);
}

/// What a batch was answered: kind and verdict of each.
pub fn ledger_verdicts(verdicts: impl Iterator<Item = (&'static str, &'static str)>) {
    let mut counted: HashMap<(&str, &str), u64> = HashMap::new();
    verdicts.for_each(|key| *counted.entry(key).or_default() += 1);
    for ((kind, verdict), count) in counted {
        LEDGER_OPERATIONS.add(count, &[("kind", kind), ("verdict", verdict)]);
    }
}

/// What still waits behind a batch.
pub fn ledger_queue(operations: usize) {
    LEDGER_QUEUE.set(i64::try_from(operations).unwrap_or(i64::MAX), &[]);
}

/// An operation had waited too long.
pub fn ledger_shed() {
    LEDGER_SHED.add(1, &[]);
}

/// A coalesced commit did not succeed and is tried again.
pub fn ledger_retry(error: &dyn std::error::Error, tries_left: u32) {
    LEDGER_RETRIES.add(1, &[]);
    tracing::warn!(error = %error, tries_left, "ledger commit failed");
}

/// The database refuses something in a batch.
pub fn ledger_bisected(operations: usize, error: &dyn std::error::Error) {
    LEDGER_BISECTIONS.add(1, &[]);
    tracing::warn!(error = %error, operations, "ledger batch refused, halving it");
}

/// Operations were given up.
pub fn ledger_failed(operations: usize, is_unclear: bool, error: &dyn std::error::Error) {
    let outcome = if is_unclear { "unknown" } else { "not_applied" };
    LEDGER_FAILED.add(u64::try_from(operations).unwrap_or(u64::MAX), &[("outcome", outcome)]);
    tracing::error!(error = %error, operations, outcome, "ledger operations have no verdict");
}

/// Expired reservations could not be freed.
pub fn expiry_failed(error: &dyn std::error::Error) {
    tracing::warn!(error = %error, "expired reservations are not freed yet");
}

/// A job has moved.
pub fn job_changed(record: &JobRecord, transition: &Transition) {
    let (job_id, state) = (record.job_id, transition.to);
    if let Some(mark) = transition.mark {
        tracing::info!(%job_id, %state, ?mark, "sealed job moved");
        return;
    }
    TRANSITIONS.add(1, &[("state", state.as_str())]);
    match (state, record.job.release_reason) {
        (State::Releasing, Some(reason)) => {
            RELEASES.add(1, &[("reason", reason.as_str())]);
            tracing::info!(%job_id, %state, %reason, from = %transition.from, "job gives its money back");
        }
        (State::Settled, _) => {
            let charge = record.job.charge.unwrap_or(record.job.price).msat();
            SETTLED_MSAT.add(charge, &[]);
            tracing::info!(%job_id, %state, rail = %record.job.rail, charge_msat = charge, "job settled");
        }
        (State::Lost, _) => {
            LOST_MSAT.add(record.job.price.msat(), &[]);
            tracing::error!(%job_id, %state, price_msat = record.job.price.msat(), "job was served and not paid");
        }
        _ => {
            tracing::debug!(%job_id, %state, from = %transition.from, attempt = record.job.attempt, "job moved")
        }
    }
    if let Some(hold) = record.job.hold.filter(|_| state.is_terminal()) {
        let held_ms = record.updated_at.0.saturating_sub(hold.accepted_at.0);
        #[expect(clippy::cast_precision_loss, reason = "a duration for a histogram")]
        DURATION.record(held_ms as f64 / 1000.0, &[("state", state.as_str())]);
    }
}

/// A payment event that cannot follow from what its job authorised.
pub fn contradiction(job_id: JobId, event: &str, error: &dyn std::error::Error) {
    ANOMALIES.add(1, &[("event", event)]);
    tracing::error!(%job_id, event, error = %error, "payment event contradicts the job; it needs a person");
}

/// Money came to a job that has ended, and goes back.
pub fn late_money(job_id: JobId, amount: AmountMsat) {
    tracing::info!(%job_id, amount_msat = amount.msat(), "late money is given back");
}

/// A step of a job failed and will be tried again.
pub fn step_failed(job_id: JobId, step: &'static str, error: &dyn std::error::Error) {
    tracing::warn!(%job_id, step, error = %error, "step failed, will be repeated");
}

/// The database's clock was looked at.
pub fn clock_ahead(before: Duration, ahead: Duration) {
    CLOCK_AHEAD.set(i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX), &[]);
    if before.is_zero() && !ahead.is_zero() {
        tracing::error!(
            ahead_s = ahead.as_secs(),
            "the database's clock has jumped ahead; it is followed slowly"
        );
    } else if !before.is_zero() && ahead.is_zero() {
        tracing::warn!(was_ahead_s = before.as_secs(), "the database's clock is believed again");
    }
}

/// Money came that is nobody's yet.
pub fn suspense(source: &'static str, source_id: Uuid, amount: AmountMsat, note: &str) {
    tracing::warn!(source, %source_id, amount_msat = amount.msat(), note, "money is in suspense");
    static SUSPENSE: LazyLock<Counter> = LazyLock::new(|| {
        counter("ailayer.gateway.suspense", "msat", "Money that came and was not known to be anybody's.")
    });
    SUSPENSE.add(amount.msat(), &[("source", source)]);
}

/// A deposit has moved.
pub fn deposit_moved(deposit_id: Uuid, state: DepositState, credited: AmountMsat) {
    DEPOSITS.add(1, &[("state", state.as_str())]);
    if state == DepositState::Credited {
        CREDITED_MSAT.add(credited.msat(), &[]);
    }
    tracing::info!(%deposit_id, %state, credited_msat = credited.msat(), "deposit moved");
}

/// An operator proposed to correct a balance.
pub fn adjustment_proposed(adjustment_id: Uuid, subject: Subject, amount_msat: i64, operator: &str) {
    ADJUSTMENTS.add(1, &[("step", "proposed")]);
    let account_id = subject.customer().map(tracing::field::display);
    tracing::warn!(%adjustment_id, subject = subject.as_str(), account_id, amount_msat, operator, "correction proposed");
}

/// Another one approved, and it is applied.
pub fn adjustment_applied(adjustment_id: Uuid, subject: Subject, amount_msat: i64, operator: &str) {
    ADJUSTMENTS.add(1, &[("step", "applied")]);
    // Of the account that is corrected: a loss is a debit of its expense.
    let direction = match subject {
        Subject::Customer(_) if amount_msat < 0 => "debit",
        Subject::Customer(_) => "credit",
        Subject::ChannelLoss if amount_msat < 0 => "credit",
        Subject::ChannelLoss => "debit",
    };
    ADJUSTED_MSAT.add(amount_msat.unsigned_abs(), &[("subject", subject.as_str()), ("direction", direction)]);
    tracing::warn!(%adjustment_id, amount_msat, operator, "correction applied");
}

/// How the brakes stand, as far as this replica knows.
pub fn brakes(engaged: &[Brake]) {
    for brake in Brake::ALL {
        BRAKE_ENGAGED.set(i64::from(engaged.contains(&brake)), &[("brake", brake.as_str())]);
    }
}

/// An order was refused before anything was set aside.
pub fn refused(reason: &'static str) {
    REFUSED.add(1, &[("reason", reason)]);
}

/// A step of a deposit failed and will be tried again.
pub fn deposit_failed(deposit_id: Uuid, step: &'static str, error: &dyn std::error::Error) {
    tracing::warn!(%deposit_id, step, error = %error, "step failed, will be repeated");
}

/// An attempt ended for good.
pub fn attempt_failed(job_id: JobId, attempt: u32, reason: ReleaseReason, why: &str) {
    tracing::warn!(%job_id, attempt, %reason, why, "attempt failed");
}

/// A call to a dependency succeeded or failed.
pub fn dependency(name: &'static str, outcome: Result<(), &CallError>) {
    DEPENDENCY_UP.set(i64::from(outcome.is_ok()), &[("dependency", name)]);
    if let Err(error) = outcome {
        tracing::debug!(dependency = name, error = %error, "dependency does not answer");
    }
}

/// Inputs and outputs were erased.
pub fn erased(jobs: u64) {
    ERASED.add(jobs, &[]);
    tracing::debug!(jobs, "inputs and outputs erased");
}
