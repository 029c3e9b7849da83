//! One change of a job's state, by compare-and-set, with its line of history.

use ailayer_primitives::{AmountMsat, Digest, UnixMs};
use ailayer_store::{StoreError, Tx};

use super::record::JobRecord;
use super::{history, to_bigint};
use crate::domain::job::{Job, State, Transition};
use crate::domain::release::ReleaseReason;

/// What is stored together with a change of state.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Row 6.
    pub answer: Option<StoredAnswer>,
    /// Row 7: the receipt's index.
    pub leaf_index: Option<u64>,
    /// Row 11: what was taken.
    pub taken: Option<AmountMsat>,
    /// The exact text of the signed closing entry.
    pub closing: Option<String>,
}

/// An answer and its receipt.
#[derive(Debug, Clone)]
pub struct StoredAnswer {
    /// The answer's stored form.
    pub output: Vec<u8>,
    /// Its canonical digest.
    pub output_digest: Digest,
    /// The exact text of the signed receipt.
    pub receipt: String,
}

/// Writes what was decided on `before`. None if the row is no longer in the state or version it was decided on; then
/// nothing is written.
///
/// The job is due at once afterwards, at its expiry while QUOTED, and never again in a terminal state. The input of a
/// job that gives money back will never run and goes at once: whoever quotes and cancels must not fill our disk.
pub async fn write_in_tx(
    tx: &mut Tx,
    before: &JobRecord,
    transition: &Transition,
    facts: &Facts,
) -> Result<Option<JobRecord>, StoreError> {
    let job = before.job.after(transition, before.now);
    let version = before.version.saturating_add(1);
    let started_at = transition.attempt.map(|_| before.now);
    let hold = job.hold;
    let answer = facts.answer.as_ref();
    let written = sqlx::query(
        "update jobs set state = $4, version = $5, updated_unix_ms = $6, wake_unix_ms = $7, attempt = $8,
            held_amount_msat = $9, claim_deadline_height = $10, accepted_unix_ms = $11,
            started_unix_ms = coalesce($12, started_unix_ms), completed_unix_ms = $13, release_reason = $14,
            output = coalesce($15, output), output_digest = coalesce($16, output_digest),
            receipt = coalesce($17, receipt), leaf_index = coalesce($18, leaf_index),
            taken_msat = coalesce($19, taken_msat), closing = coalesce($20, closing),
            charge_msat = $21,
            input = case when $4 in ('RELEASING', 'FAILED', 'CANCELED', 'EXPIRED') then null else input end
         where job_id = $1 and state = $2 and version = $3",
    )
    .bind(before.job_id.uuid())
    .bind(before.job.state.as_str())
    .bind(to_bigint(before.version))
    .bind(job.state.as_str())
    .bind(to_bigint(version))
    .bind(ms(before.now))
    .bind(wake(&job, before.now))
    .bind(i32::try_from(job.attempt).unwrap_or(i32::MAX))
    .bind(hold.map(|hold| hold.amount.to_i64()))
    .bind(hold.and_then(|hold| hold.claim_deadline_height).map(i64::from))
    .bind(hold.map(|hold| ms(hold.accepted_at)))
    .bind(started_at.map(ms))
    .bind(job.completed_at.map(ms))
    .bind(job.release_reason.map(ReleaseReason::as_str))
    .bind(answer.map(|answer| answer.output.as_slice()))
    .bind(answer.map(|answer| answer.output_digest.to_vec()))
    .bind(answer.map(|answer| answer.receipt.as_str()))
    .bind(facts.leaf_index.map(to_bigint))
    .bind(facts.taken.map(AmountMsat::to_i64))
    .bind(facts.closing.as_deref())
    .bind(job.charge.map(AmountMsat::to_i64))
    .execute(&mut **tx)
    .await?;
    if written.rows_affected() == 0 {
        return Ok(None);
    }
    let (state, reason) = (job.state, job.release_reason);
    history::add_in_tx(tx, before.job_id, version, state, job.attempt, reason, before.now).await?;
    Ok(Some(JobRecord {
        version,
        started_at: started_at.or(before.started_at),
        output_digest: answer.map(|answer| answer.output_digest).or(before.output_digest),
        receipt: answer.map(|answer| answer.receipt.clone()).or_else(|| before.receipt.clone()),
        leaf_index: facts.leaf_index.or(before.leaf_index),
        closing: facts.closing.clone().or_else(|| before.closing.clone()),
        updated_at: before.now,
        job,
        ..before.clone()
    }))
}

fn wake(job: &Job, now: UnixMs) -> Option<i64> {
    match job.state {
        state if state.is_terminal() => None,
        State::Quoted => Some(ms(job.expiry)),
        _ => Some(ms(now)),
    }
}

fn ms(time: UnixMs) -> i64 {
    to_bigint(time.0)
}
