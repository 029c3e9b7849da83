//! Calls to other services that follow from a change of state.
//!
//! Enqueue in the transaction that changes the state: both happen or neither. A relay task takes what is due,
//! calls, and reports `done` or `retry_later`; a crash in between repeats the call, so the receiver must tell
//! repeats by the item's id. Run one relay a process; two may both deliver the same item.

use std::time::Duration;

use sqlx::{PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{error::StoreError, integer::from_bigint, store::Tx};

/// For the service's migrations. Never changes: `Migration::new(4, "outbox", outbox::SCHEMA_SQL)`.
pub const SCHEMA_SQL: &str = include_str!("sql/outbox.sql");

/// A call to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxItem {
    /// Identity, for receivers that drop repeats.
    pub id: Uuid,
    /// Which call.
    pub kind: String,
    /// Items of one key are due one after another.
    pub key: String,
    /// Encoded as the service likes.
    pub payload: Vec<u8>,
    /// How often it was put off by [`retry_later`].
    pub attempts: u32,
}

/// A call to enqueue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewItem {
    /// Identity, for receivers that drop repeats.
    pub id: Uuid,
    /// Which call.
    pub kind: &'static str,
    /// Items of one key are due one after another; of an empty one in any order.
    pub key: String,
    /// Encoded as the service likes.
    pub payload: Vec<u8>,
}

/// Enqueues calls in this order, due at once, in one statement. Enqueueing an id that is still waiting changes nothing.
///
/// Items with the same non-empty `key` are due one after another, in the order of enqueueing; let their
/// transactions exclude each other (by locking the row that the key names), or that order means nothing.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn enqueue_in_tx(tx: &mut Tx, items: &[NewItem]) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    let enqueue = "insert into outbox (id, kind, key, payload, due_unix_ms, created_unix_ms)
        select id, kind, key, payload, now_ms, now_ms
        from unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[])
            with ordinality as new (id, kind, key, payload, place),
            (select (extract(epoch from clock_timestamp()) * 1000)::bigint as now_ms) clock
        order by place on conflict (id) do nothing";
    sqlx::query(enqueue)
        .bind(items.iter().map(|item| item.id).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.kind).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.key.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|item| item.payload.as_slice()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What is due now, longest overdue first. Of each non-empty key only the first item is due; while it is put off,
/// the ones behind it wait.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn due(pool: &PgPool, limit: u32) -> Result<Vec<OutboxItem>, StoreError> {
    let due = "select id, kind, key, payload, attempts from outbox item
        where due_unix_ms <= (select (extract(epoch from clock_timestamp()) * 1000)::bigint)
        and (key = '' or not exists (
            select 1 from outbox earlier where earlier.key = item.key and earlier.position < item.position))
        order by due_unix_ms, position limit $1";
    let rows = sqlx::query(due).bind(i64::from(limit)).fetch_all(pool).await?;
    rows.iter().map(item).collect()
}

/// Removes delivered items. Fine when they are gone already.
///
/// # Errors
/// `Unavailable` when the database is: the items will be delivered again.
pub async fn done_in_tx(tx: &mut Tx, ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query("delete from outbox where id = any($1)").bind(ids).execute(&mut **tx).await?;
    Ok(())
}

/// Puts an item off for `delay` from now and counts the attempt.
///
/// # Errors
/// `Unavailable` when the database is: the item stays due.
pub async fn retry_later(pool: &PgPool, id: Uuid, delay: Duration) -> Result<(), StoreError> {
    let put_off = "update outbox set attempts = attempts + 1,
        due_unix_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint + $2 where id = $1";
    let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
    sqlx::query(put_off).bind(id).bind(delay_ms).execute(pool).await?;
    Ok(())
}

/// How many items wait, due or not.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn depth(pool: &PgPool) -> Result<u64, StoreError> {
    let row = sqlx::query("select count(*) from outbox").fetch_one(pool).await?;
    from_bigint(row.try_get(0)?, "size of the outbox")
}

fn item(row: &PgRow) -> Result<OutboxItem, StoreError> {
    let attempts: i32 = row.try_get(4)?;
    Ok(OutboxItem {
        id: row.try_get(0)?,
        kind: row.try_get(1)?,
        key: row.try_get(2)?,
        payload: row.try_get(3)?,
        attempts: u32::try_from(attempts).map_err(|_| StoreError::Corrupt("negative attempts".to_owned()))?,
    })
}
