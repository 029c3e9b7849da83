//! The node's tip as it was last seen.

use ailayer_store::StoreError;

use super::{Rows, row};
use crate::service::sync_gate::TipSeen;

/// What was last written, if anything was.
pub async fn find(rows: &Rows) -> Result<Option<TipSeen>, StoreError> {
    let found = sqlx::query("select height, since_unix_s from node_tip").fetch_optional(rows.pool()).await?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some(TipSeen { height: row::u32_of(&found, "height")?, since: row::unix_s(&found, "since_unix_s")? }))
}

/// Writes down a tip in place of the one before.
pub async fn put(rows: &Rows, seen: TipSeen) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "insert into node_tip (height, since_unix_s) values ($1, $2) \
         on conflict (only_row) do update set height = excluded.height, since_unix_s = excluded.since_unix_s",
    )
    .bind(i64::from(seen.height))
    .bind(row::time(seen.since.0))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}
