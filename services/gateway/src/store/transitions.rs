//! Changes of jobs' states, by compare-and-set, with their lines of history.

use std::collections::HashMap;

use ailayer_primitives::{AmountMsat, Digest, JobId, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::Row as _;
use uuid::Uuid;

use super::record::JobRecord;
use super::{corrupt, from_bigint, to_bigint};
use crate::domain::job::{Job, Rail, State, Transition};
use crate::domain::release::ReleaseReason;

/// What is stored together with a change of state.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Row 6.
    pub answer: Option<StoredAnswer>,
    /// Row 7: the receipt's index, written with row 8; of a sealed job by itself.
    pub leaf_index: Option<u64>,
    /// Row 11: what was taken.
    pub taken: Option<AmountMsat>,
    /// The exact text of the signed closing entry.
    pub closing: Option<String>,
}

/// An answer and its receipt.
#[derive(Debug, Clone)]
pub struct StoredAnswer {
    /// The answer's byte form; of a sealed job its ciphertext.
    pub output: Vec<u8>,
    /// The answer's canonical digest.
    pub output_digest: Digest,
    /// SHA-256 of the ciphertext, of a sealed job.
    pub sealed_digest: Option<Digest>,
    /// The exact text of the signed receipt.
    pub receipt: String,
}

/// One change.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// What it was decided on.
    pub before: &'a JobRecord,
    /// The row as it will be: [`after`].
    pub after: &'a JobRecord,
    /// What is stored with it.
    pub facts: &'a Facts,
}

/// The row that a transition, decided on `before`, makes.
pub fn after(before: &JobRecord, transition: &Transition, facts: &Facts) -> JobRecord {
    let answer = facts.answer.as_ref();
    JobRecord {
        version: before.version.saturating_add(1),
        job: before.job.after(transition, before.now),
        started_at: transition.attempt.map(|_| before.now).or(before.started_at),
        output_digest: answer.map(|answer| answer.output_digest).or(before.output_digest),
        receipt: answer.map(|answer| answer.receipt.clone()).or_else(|| before.receipt.clone()),
        sealed_digest: answer.and_then(|answer| answer.sealed_digest).or(before.sealed_digest),
        leaf_index: facts.leaf_index.or(before.leaf_index),
        closing: facts.closing.clone().or_else(|| before.closing.clone()),
        updated_at: before.now,
        ..before.clone()
    }
}

/// Where a job stands, as far as a compare-and-set looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// Counts its changes.
    pub version: u64,
    /// Attempts so far.
    pub attempt: u32,
}

impl From<&JobRecord> for Standing {
    fn from(record: &JobRecord) -> Self {
        Self { state: record.job.state, version: record.version, attempt: record.job.attempt }
    }
}

/// Locks the rows of jobs until the transaction ends, in the order of their ids, and tells where they stand.
pub async fn lock_in_tx(tx: &mut Tx, ids: &[JobId]) -> Result<HashMap<JobId, Standing>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let query =
        "select job_id, state, version, attempt from jobs where job_id = any($1) order by job_id for update";
    let rows = sqlx::query(query).bind(ids).fetch_all(&mut **tx).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let (state, attempt): (&str, i32) = (row.try_get(1)?, row.try_get(3)?);
        let standing = Standing {
            state: state.parse().map_err(|error| corrupt("state")(&error))?,
            version: from_bigint(row.try_get(2)?, "version")?,
            attempt: u32::try_from(attempt).map_err(|error| corrupt("attempt")(&error))?,
        };
        Ok((JobId::new(row.try_get(0)?), standing))
    };
    rows.iter().map(read).collect()
}

/// One statement for any number of changes. History is written for those that were changed.
///
/// A job is due at once afterwards (at the end of its lease where its driver goes on by itself), at its expiry while QUOTED, and never again in a terminal state, where nobody drives it and
/// nothing is kept of its payer. The input of a job that gives money back will never run and goes at once: whoever quotes and cancels must not fill our disk.
const WRITE: &str = "with
    changed as (
        update jobs set state = new.state, version = new.version, updated_unix_ms = new.updated,
            wake_unix_ms = case when new.driven then greatest(new.wake, jobs.lease_until_unix_ms) else new.wake end,
            attempt = new.attempt, held_amount_msat = new.held,
            claim_deadline_height = new.deadline, accepted_unix_ms = new.accepted, started_unix_ms = new.started,
            completed_unix_ms = new.completed, release_reason = new.reason,
            output = coalesce(new.output, jobs.output), output_digest = new.output_digest,
            receipt = coalesce(new.receipt, jobs.receipt), leaf_index = new.leaf,
            taken_msat = coalesce(new.taken, jobs.taken_msat), closing = new.closing, charge_msat = new.charge,
            sealed_digest = new.sealed_digest, appended_unix_ms = new.appended,
            acknowledged_unix_ms = new.acknowledged,
            input = case when new.state in ('RELEASING', 'FAILED', 'CANCELED', 'EXPIRED') then null
                         else jobs.input end,
            payer = case when new.wake is null then null else jobs.payer end,
            lease_owner = case when new.wake is null then null else jobs.lease_owner end,
            lease_until_unix_ms = case when new.wake is null then null else jobs.lease_until_unix_ms end
        from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::integer[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::text[],
            $15::bytea[], $16::bytea[], $17::text[], $18::bigint[], $19::bigint[], $20::text[], $21::bigint[],
            $22::bytea[], $23::bigint[], $24::bigint[], $25::boolean[])
            as new (job_id, was_state, was_version, state, version, updated, wake, attempt, held, deadline, accepted,
                started, completed, reason, output, output_digest, receipt, leaf, taken, closing, charge,
                sealed_digest, appended, acknowledged, driven)
        where jobs.job_id = new.job_id and jobs.state = new.was_state and jobs.version = new.was_version
        returning jobs.job_id, jobs.version, jobs.state, jobs.attempt, jobs.release_reason, jobs.updated_unix_ms),
    history as (
        insert into job_events (job_id, version, state, attempt, release_reason, recorded_unix_ms)
        select * from changed)
    select count(*) from changed";

/// Writes changes and answers how many there were: a row that is no longer in the state and version that its change was
/// decided on is left alone.
pub async fn write_in_tx(tx: &mut Tx, changes: &[Change<'_>]) -> Result<usize, StoreError> {
    let ids: Vec<Uuid> = changes.iter().map(|change| change.before.job_id.uuid()).collect();
    let numbers = |number: fn(&Change<'_>) -> i64| changes.iter().map(|it| number(it)).collect::<Vec<_>>();
    let optional =
        |number: fn(&Change<'_>) -> Option<i64>| changes.iter().map(|it| number(it)).collect::<Vec<_>>();
    let texts = |text: fn(&Change<'_>) -> &'static str| changes.iter().map(|it| text(it)).collect::<Vec<_>>();
    let attempts: Vec<i32> =
        changes.iter().map(|it| i32::try_from(it.after.job.attempt).unwrap_or(i32::MAX)).collect();
    let answers = || changes.iter().map(|change| change.facts.answer.as_ref());
    let row = sqlx::query(WRITE)
        .bind(ids)
        .bind(texts(|it| it.before.job.state.as_str()))
        .bind(numbers(|it| to_bigint(it.before.version)))
        .bind(texts(|it| it.after.job.state.as_str()))
        .bind(numbers(|it| to_bigint(it.after.version)))
        .bind(numbers(|it| ms(it.after.updated_at)))
        .bind(optional(|it| wake(&it.after.job, it.after.updated_at)))
        .bind(attempts)
        .bind(optional(|it| it.after.job.hold.map(|hold| hold.amount.to_i64())))
        .bind(optional(|it| it.after.job.hold.and_then(|hold| hold.claim_deadline_height).map(i64::from)))
        .bind(optional(|it| it.after.job.hold.map(|hold| ms(hold.accepted_at))))
        .bind(optional(|it| it.after.started_at.map(ms)))
        .bind(optional(|it| it.after.job.completed_at.map(ms)))
        .bind(
            changes
                .iter()
                .map(|it| it.after.job.release_reason.map(ReleaseReason::as_str))
                .collect::<Vec<_>>(),
        )
        .bind(answers().map(|answer| answer.map(|answer| answer.output.as_slice())).collect::<Vec<_>>())
        .bind(
            changes.iter().map(|it| it.after.output_digest.map(|digest| digest.to_vec())).collect::<Vec<_>>(),
        )
        .bind(answers().map(|answer| answer.map(|answer| answer.receipt.as_str())).collect::<Vec<_>>())
        .bind(optional(|it| it.after.leaf_index.map(to_bigint)))
        .bind(optional(|it| it.facts.taken.map(AmountMsat::to_i64)))
        .bind(changes.iter().map(|it| it.after.closing.as_deref()).collect::<Vec<_>>())
        .bind(optional(|it| it.after.job.charge.map(AmountMsat::to_i64)))
        .bind(
            changes.iter().map(|it| it.after.sealed_digest.map(|digest| digest.to_vec())).collect::<Vec<_>>(),
        )
        .bind(optional(|it| it.after.job.seal.and_then(|seal| seal.appended_at).map(ms)))
        .bind(optional(|it| it.after.job.seal.and_then(|seal| seal.acknowledged_at).map(ms)))
        .bind(changes.iter().map(|it| is_driven(it.after)).collect::<Vec<_>>())
        .fetch_one(&mut **tx)
        .await?;
    let written: i64 = row.try_get(0)?;
    Ok(usize::try_from(written).unwrap_or(usize::MAX))
}

/// Whether the change is its driver's own, who goes on at once: then the job is due for others when the lease lapses, and those who
/// look for what is due need not pass over it.
fn is_driven(after: &JobRecord) -> bool {
    after.job.rail == Rail::Prepaid && after.job.state == State::Completed
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
