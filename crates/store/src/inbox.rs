//! Events of other services, each taken in once.
//!
//! Accept an event in the transaction that acts on it: both happen or neither, however often it is delivered.
//!
//! The cursor orders a source's events, so ids are remembered only near it: the last [`REMEMBERED`] by cursor. What comes
//! from further behind was taken in, or passed over, long ago, and counts as a repeat. So the table stays small for ever.

use sqlx::{PgPool, Row};
use uuid::Uuid;

use crate::{
    error::StoreError,
    integer::{from_bigint, to_bigint},
    store::Tx,
};

/// For the service's migrations. Never changes: `Migration::new(3, "inbox", inbox::SCHEMA_SQL)`.
pub const SCHEMA_SQL: &str = include_str!("sql/inbox.sql");

/// How far behind a source's cursor ids are remembered. Readers take events in order, so a repeat comes from a stream that
/// was cut and resumed, or from another replica a little behind: a few events, not a thousand.
pub const REMEMBERED: u64 = 1024;
/// Ids forgotten with each event. More than one, so that a table from before there was an end to it shrinks.
const FORGOTTEN_AT_ONCE: i64 = 16;

/// Notes an event of `source` as taken in and moves that source's cursor up to `cursor`, never down.
/// Returns false when it was taken in before, or lies more than [`REMEMBERED`] behind the cursor: commit, but do not act
/// on it again.
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
    // First, because it locks the source's row: a second transaction of the same source waits here for the first to end,
    // and nobody forgets an id that another one is about to look for.
    let horizon = advance(tx, source, cursor).await?.saturating_sub(REMEMBERED);
    if 0 < cursor && cursor <= horizon {
        return Ok(false);
    }
    let note = "insert into inbox (source, event_id, cursor, accepted_unix_ms)
        values ($1, $2, $3, (extract(epoch from clock_timestamp()) * 1000)::bigint)
        on conflict (source, event_id) do nothing";
    let note = sqlx::query(note).bind(source).bind(event_id).bind(to_bigint(cursor));
    let noted = note.execute(&mut **tx).await?;
    forget(tx, source, horizon).await?;
    Ok(noted.rows_affected() == 1)
}

/// Moves the cursor up to `cursor`, never down; answers where it stands.
async fn advance(tx: &mut Tx, source: &str, cursor: u64) -> Result<u64, StoreError> {
    let advance = "insert into inbox_cursor (source, cursor) values ($1, $2)
        on conflict (source) do update set cursor = greatest(inbox_cursor.cursor, excluded.cursor)
        returning cursor";
    let row = sqlx::query(advance).bind(source).bind(to_bigint(cursor)).fetch_one(&mut **tx).await?;
    from_bigint(row.try_get(0)?, "inbox cursor")
}

/// Forgets ids up to `horizon`, a bounded number. The scan is short because the table is.
async fn forget(tx: &mut Tx, source: &str, horizon: u64) -> Result<(), StoreError> {
    let forget = "delete from inbox where ctid = any(array(
        select ctid from inbox where source = $1 and cursor <= $2 limit $3))";
    let forget = sqlx::query(forget).bind(source).bind(to_bigint(horizon)).bind(FORGOTTEN_AT_ONCE);
    forget.execute(&mut **tx).await?;
    Ok(())
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
