//! Signed checkpoints.

use ailayer_primitives::UnixMs;
use ailayer_store::{StoreError, Tx};
use ailayer_tlog::NodeHash;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use super::{to_hash, to_i64, to_u64};

/// A stored checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Its tree size.
    pub tree_size: u64,
    /// Its root hash.
    pub root_hash: NodeHash,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub signed: UnixMs,
}

/// The newest one, or `None` before the first.
pub async fn newest(pool: &PgPool) -> Result<Option<StoredCheckpoint>, StoreError> {
    let row = sqlx::query(
        "select tree_size, root_hash, note, signed_unix_ms from checkpoint order by tree_size desc limit 1",
    )
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(stored).transpose()
}

/// The one of a size.
pub async fn of_size(pool: &PgPool, tree_size: u64) -> Result<Option<StoredCheckpoint>, StoreError> {
    let row =
        sqlx::query("select tree_size, root_hash, note, signed_unix_ms from checkpoint where tree_size = $1")
            .bind(to_i64(tree_size)?)
            .fetch_optional(pool)
            .await?;
    row.as_ref().map(stored).transpose()
}

/// Those above a size, ascending, at most `limit`; from the first when `above` is `None`.
pub async fn page(
    pool: &PgPool,
    above: Option<u64>,
    limit: u32,
) -> Result<Vec<StoredCheckpoint>, StoreError> {
    let above = above.map(to_i64).transpose()?.unwrap_or(-1);
    let rows = sqlx::query(
        "select tree_size, root_hash, note, signed_unix_ms from checkpoint
         where tree_size > $1 order by tree_size limit $2",
    )
    .bind(above)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(stored).collect()
}

/// Writes one, unless one of that size or a larger is there: false then, and nothing is changed.
pub async fn insert_in_tx(tx: &mut Tx, checkpoint: &StoredCheckpoint) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "insert into checkpoint (tree_size, root_hash, note, signed_unix_ms)
         select $1, $2, $3, $4 where not exists (select from checkpoint where tree_size >= $1)",
    )
    .bind(to_i64(checkpoint.tree_size)?)
    .bind(checkpoint.root_hash.as_bytes().as_slice())
    .bind(checkpoint.note.as_str())
    .bind(to_i64(checkpoint.signed.0)?)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn stored(row: &PgRow) -> Result<StoredCheckpoint, StoreError> {
    Ok(StoredCheckpoint {
        tree_size: to_u64(row.try_get("tree_size")?)?,
        root_hash: to_hash(row.try_get("root_hash")?)?,
        note: row.try_get("note")?,
        signed: UnixMs(to_u64(row.try_get("signed_unix_ms")?)?),
    })
}
