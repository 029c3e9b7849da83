//! The states a job went through.

use ailayer_primitives::{JobId, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::{PgPool, Row as _};

use super::{corrupt, from_bigint, to_bigint};
use crate::domain::job::State;
use crate::domain::release::ReleaseReason;

/// One step of a job's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobEvent {
    /// Counts changes, from 1.
    pub version: u64,
    /// The state since then.
    pub state: State,
    /// Attempts until then.
    pub attempt: u32,
    /// Why it gives money back, if it does.
    pub release_reason: Option<ReleaseReason>,
    /// When.
    pub recorded_at: UnixMs,
}

pub(super) async fn add_in_tx(
    tx: &mut Tx,
    job_id: JobId,
    version: u64,
    state: State,
    attempt: u32,
    release_reason: Option<ReleaseReason>,
    at: UnixMs,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into job_events (job_id, version, state, attempt, release_reason, recorded_unix_ms)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(job_id.uuid())
    .bind(to_bigint(version))
    .bind(state.as_str())
    .bind(i32::try_from(attempt).unwrap_or(i32::MAX))
    .bind(release_reason.map(ReleaseReason::as_str))
    .bind(to_bigint(at.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What happened to a job after `version`, in order.
pub async fn after(pool: &PgPool, job_id: JobId, version: u64) -> Result<Vec<JobEvent>, StoreError> {
    let query = sqlx::query(
        "select version, state, attempt, release_reason, recorded_unix_ms from job_events
         where job_id = $1 and version > $2 order by version limit 100",
    );
    let rows = query.bind(job_id.uuid()).bind(to_bigint(version)).fetch_all(pool).await?;
    rows.iter()
        .map(|row| {
            let (state, reason): (String, Option<String>) = (row.try_get(1)?, row.try_get(3)?);
            let attempt: i32 = row.try_get(2)?;
            Ok(JobEvent {
                version: from_bigint(row.try_get(0)?, "version")?,
                state: state.parse().map_err(|error| corrupt("state")(&error))?,
                attempt: u32::try_from(attempt).map_err(|error| corrupt("attempt")(&error))?,
                release_reason: reason
                    .map(|word| word.parse().map_err(|error| corrupt("release_reason")(&error)))
                    .transpose()?,
                recorded_at: UnixMs(from_bigint(row.try_get(4)?, "recorded_unix_ms")?),
            })
        })
        .collect()
}
