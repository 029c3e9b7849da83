//! Events of other services, each taken in once.
//!
//! Accept an event in the transaction that acts on it: both happen or neither, however often it is delivered.

use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::{
    error::StoreError,
    integer::{from_bigint, to_bigint},
    store::Tx,
};

/// For the service's migrations. Never changes: `Migration::new(3, "inbox", inbox::SCHEMA_SQL)`.
pub const SCHEMA_SQL: &str = include_str!("sql/inbox.sql");

/// Notes an event of `source` as taken in and moves that source's cursor up to `cursor`, never down.
/// Returns false when it was taken in before: commit, but do not act on it again.
///
/// Take a source's events in order: after a restart, reading continues behind the highest cursor accepted.
///
/// # Errors
/// `Violation` when `cursor` is 0.
pub async fn accept_in_tx(
    tx: &mut Tx,
    source: &str,
    event_id: Uuid,
    cursor: u64,
) -> Result<bool, StoreError> {
    let cursor = to_bigint(cursor);
    // A second transaction with the same event waits here for the first to end.
    let note = "insert into inbox (source, event_id, cursor, accepted_unix_ms)
        values ($1, $2, $3, (extract(epoch from clock_timestamp()) * 1000)::bigint)
        on conflict (source, event_id) do nothing";
    let noted = sqlx::query(note).bind(source).bind(event_id).bind(cursor).execute(&mut **tx).await?;
    let advance = "insert into inbox_cursor (source, cursor) values ($1, $2)
        on conflict (source) do update set cursor = greatest(inbox_cursor.cursor, excluded.cursor)";
    sqlx::query(advance).bind(source).bind(cursor).execute(&mut **tx).await?;
    Ok(noted.rows_affected() == 1)
}

/// Cursor up to which the events of `source` were taken in; 0 before the first.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn cursor(pool: &PgPool, source: &str) -> Result<u64, StoreError> {
    let row = sqlx::query("select cursor from inbox_cursor where source = $1").bind(source);
    match row.fetch_optional(pool).await? {
        Some(row) => from_bigint(row.try_get(0)?, "inbox cursor"),
        None => Ok(0),
    }
}
