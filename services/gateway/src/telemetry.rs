//! What the gateway tells its operators. One function an event: log line and metric together.

use std::sync::LazyLock;

use ailayer_client::CallError;
use ailayer_platform::telemetry::{Counter, Gauge, Histogram, counter, gauge, histogram};
use ailayer_primitives::{AmountMsat, JobId};

use crate::domain::job::{State, Transition};
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

/// A job has moved.
pub fn job_changed(record: &JobRecord, transition: &Transition) {
    let (job_id, state) = (record.job_id, transition.to);
    TRANSITIONS.add(1, &[("state", state.as_str())]);
    match (state, record.job.release_reason) {
        (State::Releasing, Some(reason)) => {
            RELEASES.add(1, &[("reason", reason.as_str())]);
            tracing::info!(%job_id, %state, %reason, from = %transition.from, "job gives its money back");
        }
        (State::Settled, _) => {
            SETTLED_MSAT.add(record.job.price.msat(), &[]);
            tracing::info!(%job_id, %state, price_msat = record.job.price.msat(), "job settled");
        }
        (State::Lost, _) => {
            LOST_MSAT.add(record.job.price.msat(), &[]);
            tracing::error!(%job_id, %state, price_msat = record.job.price.msat(), "job was served and not paid");
        }
        _ => {
            tracing::info!(%job_id, %state, from = %transition.from, attempt = record.job.attempt, "job moved")
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
