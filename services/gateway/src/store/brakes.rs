//! What operators have stopped.

use ailayer_primitives::UnixMs;
use ailayer_store::StoreError;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};

use super::{corrupt, from_bigint};
use crate::domain::brake::Brake;

/// A brake as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrakeRecord {
    /// Which one.
    pub brake: Brake,
    /// True if it is on.
    pub engaged: bool,
    /// Why.
    pub note: String,
    /// Who changed it last.
    pub operator: String,
    /// When; none if nobody ever did.
    pub changed_at: Option<UnixMs>,
}

/// Those that were ever changed.
pub async fn all(pool: &PgPool) -> Result<Vec<BrakeRecord>, StoreError> {
    let query = "select brake, engaged, note, operator, changed_unix_ms from brakes order by brake";
    sqlx::query(query).fetch_all(pool).await?.iter().map(read).collect()
}

/// Puts a brake on or takes it off. Durable when this returns.
pub async fn set(
    pool: &PgPool,
    brake: Brake,
    engaged: bool,
    note: &str,
    operator: &str,
) -> Result<BrakeRecord, StoreError> {
    let row = sqlx::query(
        "insert into brakes (brake, engaged, note, operator, changed_unix_ms) values ($1, $2, $3, $4, unix_ms())
         on conflict (brake) do update set engaged = excluded.engaged, note = excluded.note,
            operator = excluded.operator, changed_unix_ms = excluded.changed_unix_ms
         returning brake, engaged, note, operator, changed_unix_ms",
    )
    .bind(brake.as_str())
    .bind(engaged)
    .bind(note)
    .bind(operator)
    .fetch_one(pool)
    .await?;
    read(&row)
}

fn read(row: &PgRow) -> Result<BrakeRecord, StoreError> {
    let word: &str = row.try_get("brake")?;
    Ok(BrakeRecord {
        brake: word.parse().map_err(|error| corrupt("brake")(&error))?,
        engaged: row.try_get("engaged")?,
        note: row.try_get("note")?,
        operator: row.try_get("operator")?,
        changed_at: Some(UnixMs(from_bigint(row.try_get("changed_unix_ms")?, "time of a brake")?)),
    })
}
