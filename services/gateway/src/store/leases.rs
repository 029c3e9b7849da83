//! Which replica drives which job.
//!
//! A lease keeps two drivers, of one replica or of two, from doing the same work; correctness never depends on it, because every change of state
//! is a compare-and-set. A replica that dies leaves its leases to lapse.

use std::time::Duration;

use ailayer_primitives::JobId;
use ailayer_store::{Store, StoreError};
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::{from_bigint, ledger, to_bigint};
use crate::domain::job::State;

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A receipt to be logged, money to be taken or given back, a quote to end. Short calls.
    Money,
    /// A model to answer.
    Models,
}

impl Lane {
    /// The states of its jobs. Jobs that have ended are in none.
    const fn states(self) -> &'static [State] {
        match self {
            Self::Money => &[State::Quoted, State::Completed, State::Taking, State::Releasing],
            Self::Models => &[State::Held, State::Running],
        }
    }
}

/// Takes the lease of up to `limit` jobs of a lane that are due and that nobody drives, the longest overdue first.
///
/// The clock is read in a subquery, as wherever a range of an index is looked for by it: once, then. In the comparison itself it
/// would be read for each row, and the table with it.
pub async fn take(
    store: &Store,
    owner: Uuid,
    lease: Duration,
    lane: Lane,
    limit: u32,
) -> Result<Vec<JobId>, StoreError> {
    let query = sqlx::query(
        "update jobs set lease_owner = $1, lease_until_unix_ms = unix_ms() + $2
         where job_id in (
            select job_id from jobs
            where wake_unix_ms <= (select unix_ms()) and (lease_until_unix_ms is null or lease_until_unix_ms <= unix_ms())
                and state = any($4)
            order by wake_unix_ms limit $3 for update skip locked)
         returning job_id",
    );
    let states: Vec<&str> = lane.states().iter().map(|state| state.as_str()).collect();
    let query = query.bind(owner).bind(ms(lease)).bind(i64::from(limit)).bind(states);
    let mut tx = ledger::begin(store).await?;
    let rows = query.fetch_all(&mut *tx).await?;
    tx.commit().await?;
    rows.iter().map(|row| Ok(JobId::new(row.try_get(0)?))).collect()
}

/// Longer than any job rests, an unpaid quote apart, or any lease lasts that is renewed.
const TOO_LONG: Duration = Duration::from_secs(120);

/// Makes due what is due, or leased, later than any job ever is, and answers how many: the database's clock was put back, and they
/// would wait for the old time to come round again.
pub async fn mend(store: &Store, lease: Duration) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "update jobs set wake_unix_ms = least(wake_unix_ms, unix_ms()), lease_owner = null, lease_until_unix_ms = null
         where wake_unix_ms is not null
            and (lease_until_unix_ms > unix_ms() + $1 or (wake_unix_ms > unix_ms() + $1 and state <> 'QUOTED'))",
    );
    let mut tx = ledger::begin(store).await?;
    let mended = query.bind(ms(TOO_LONG.max(lease.saturating_mul(2)))).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(mended.rows_affected())
}

/// Prolongs a lease and answers the job's version; none if another replica has taken it over.
pub async fn renew(
    pool: &PgPool,
    job_id: JobId,
    owner: Uuid,
    lease: Duration,
) -> Result<Option<u64>, StoreError> {
    let query = sqlx::query(
        "update jobs set lease_until_unix_ms = unix_ms() + $3 where job_id = $1 and lease_owner = $2
         returning version",
    );
    let row = query.bind(job_id.uuid()).bind(owner).bind(ms(lease)).fetch_optional(pool).await?;
    row.map(|row| from_bigint(row.try_get(0)?, "version")).transpose()
}

/// Gives a lease back. The job is due again after `rest`, unless it has changed since `version`: then the change says
/// when. Without a `rest` it is due at once.
pub async fn give_back(
    pool: &PgPool,
    job_id: JobId,
    owner: Uuid,
    rest: Option<(u64, Duration)>,
) -> Result<(), StoreError> {
    let query = sqlx::query(
        "update jobs set lease_owner = null, lease_until_unix_ms = null,
            wake_unix_ms = case when version = $3 then unix_ms() + $4
                when $3::bigint is null then least(wake_unix_ms, unix_ms()) else wake_unix_ms end
         where job_id = $1 and lease_owner = $2",
    );
    let (version, delay) = rest.unzip();
    query
        .bind(job_id.uuid())
        .bind(owner)
        .bind(version.map(to_bigint))
        .bind(delay.map(ms))
        .execute(pool)
        .await?;
    Ok(())
}

/// Gives back every lease of these owners, who go down, so that nobody need wait for them to lapse.
pub async fn give_back_all(pool: &PgPool, owners: &[Uuid]) -> Result<(), StoreError> {
    let query = "update jobs set lease_owner = null, lease_until_unix_ms = null,
            wake_unix_ms = least(wake_unix_ms, unix_ms())
         where lease_owner = any($1) and wake_unix_ms is not null";
    sqlx::query(query).bind(owners).execute(pool).await?;
    Ok(())
}

/// A year at most, so that adding it to a time cannot overflow.
fn ms(duration: Duration) -> i64 {
    const YEAR_MS: i64 = 366 * 86_400_000;
    i64::try_from(duration.as_millis()).unwrap_or(YEAR_MS).min(YEAR_MS)
}
