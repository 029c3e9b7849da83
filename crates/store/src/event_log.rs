//! A service's feed of events, for readers that resume from a cursor.
//!
//! Cursors are 1, 2, 3, … in the order of commits, without gaps, and an event becomes visible only after all
//! before it. A sequence cannot do that: its numbers become visible out of order and leave holes, so that a reader
//! which has seen 7 never learns of 6. The price is that transactions which append take turns from their first
//! append to their end: append last, and commit at once.

mod signal;

use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    error::StoreError,
    integer::{from_bigint, to_bigint},
    store::Tx,
};
pub use signal::Signal;

/// For the service's migrations. Never changes: `Migration::new(2, "event log", event_log::SCHEMA_SQL)`.
pub const SCHEMA_SQL: &str = include_str!("sql/event_log.sql");

/// The most events one call of [`read_after`] returns.
pub const MAX_READ: u32 = 10_000;

/// An event as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Place in the feed, from 1.
    pub cursor: u64,
    /// Identity, for consumers that drop repeats.
    pub event_id: Uuid,
    /// What happened, in words of the service.
    pub kind: String,
    /// Encoded as the service likes.
    pub payload: Vec<u8>,
    /// When it was appended by the database's clock, in milliseconds since the Unix epoch.
    pub recorded_unix_ms: u64,
}

/// Appends an event and returns its cursor. It is in the feed if and only if the transaction commits.
///
/// # Errors
/// `Conflict` when an event of that id was appended before (the transaction is lost then), `TimedOut` when
/// another transaction does not let go of the feed, `Corrupt` when the feed has lost its head.
pub async fn append_in_tx(
    tx: &mut Tx,
    event_id: Uuid,
    kind: &str,
    payload: &[u8],
) -> Result<u64, StoreError> {
    let append = "with next as (update event_cursor set head = head + 1 returning head)
        insert into event_log (cursor, event_id, kind, payload, recorded_unix_ms)
        select head, $1, $2, $3, (extract(epoch from clock_timestamp()) * 1000)::bigint from next
        returning cursor";
    let row = sqlx::query(append).bind(event_id).bind(kind).bind(payload).fetch_optional(&mut **tx).await?;
    from_bigint(row.ok_or_else(headless)?.try_get(0)?, "event cursor")
}

/// The events after `cursor` in order; 0 is before the first. At most `limit`, and never more than [`MAX_READ`].
///
/// # Errors
/// `CursorAhead` when the log does not reach up to `cursor`.
pub async fn read_after(pool: &PgPool, cursor: u64, limit: u32) -> Result<Vec<StoredEvent>, StoreError> {
    let read = "select cursor, event_id, kind, payload, recorded_unix_ms from event_log
        where cursor > $1 order by cursor limit $2";
    let limit = i64::from(limit.min(MAX_READ));
    let rows = sqlx::query(read).bind(to_bigint(cursor)).bind(limit).fetch_all(pool).await?;
    if rows.is_empty() && cursor > 0 {
        let head = head(pool).await?;
        if cursor > head {
            return Err(StoreError::CursorAhead { cursor, head });
        }
    }
    rows.iter().map(event).collect()
}

/// Cursor of the last event; 0 when there is none.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn head(pool: &PgPool) -> Result<u64, StoreError> {
    let row = sqlx::query("select head from event_cursor").fetch_optional(pool).await?;
    from_bigint(row.ok_or_else(headless)?.try_get(0)?, "head of the event log")
}

fn event(row: &PgRow) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        cursor: from_bigint(row.try_get(0)?, "event cursor")?,
        event_id: row.try_get(1)?,
        kind: row.try_get(2)?,
        payload: row.try_get(3)?,
        recorded_unix_ms: from_bigint(row.try_get(4)?, "time of an event")?,
    })
}

fn headless() -> StoreError {
    StoreError::Corrupt("the event log has no head".to_owned())
}
