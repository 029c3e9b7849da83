//! The log's one row: who it is and how far it has come.

use ailayer_primitives::UnixMs;
use ailayer_store::{StoreError, Tx};
use ailayer_tlog::{NodeHash, empty_root};
use sqlx::{PgPool, Row};

use super::{to_hash, to_i64, to_u64};

/// Size and root of the tree, with the time of its newest entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Entries sequenced.
    pub tree_size: u64,
    /// Root hash over them.
    pub root_hash: NodeHash,
    /// When the newest of them were sequenced.
    pub sequenced: UnixMs,
}

impl TreeHead {
    /// The log before its first entry.
    pub fn empty() -> Self {
        Self { tree_size: 0, root_hash: empty_root(), sequenced: UnixMs(0) }
    }
}

/// The log as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its name.
    pub origin: String,
    /// Its verification key in signed-note form.
    pub verification_key: String,
    /// How far it has come.
    pub head: TreeHead,
}

/// The log, or `None` before its first start.
pub async fn read(pool: &PgPool) -> Result<Option<LogRow>, StoreError> {
    let row = sqlx::query(
        "select origin, verification_key, tree_size, root_hash, sequenced_unix_ms from log where only_row",
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let head = TreeHead {
        tree_size: to_u64(row.try_get("tree_size")?)?,
        root_hash: to_hash(row.try_get("root_hash")?)?,
        sequenced: UnixMs(to_u64(row.try_get("sequenced_unix_ms")?)?),
    };
    let (origin, verification_key) = (row.try_get("origin")?, row.try_get("verification_key")?);
    Ok(Some(LogRow { origin, verification_key, head }))
}

/// Writes the log's identity at its first start.
pub async fn create_in_tx(tx: &mut Tx, origin: &str, verification_key: &str) -> Result<(), StoreError> {
    let head = TreeHead::empty();
    sqlx::query(
        "insert into log (origin, verification_key, tree_size, root_hash, sequenced_unix_ms)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(origin)
    .bind(verification_key)
    .bind(to_i64(head.tree_size)?)
    .bind(head.root_hash.as_bytes().as_slice())
    .bind(to_i64(head.sequenced.0)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Moves the log on; false when it is not at `before` any more, and then nothing is changed.
pub async fn advance_in_tx(tx: &mut Tx, before: &TreeHead, after: &TreeHead) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update log set tree_size = $3, root_hash = $4, sequenced_unix_ms = $5
         where only_row and tree_size = $1 and root_hash = $2",
    )
    .bind(to_i64(before.tree_size)?)
    .bind(before.root_hash.as_bytes().as_slice())
    .bind(to_i64(after.tree_size)?)
    .bind(after.root_hash.as_bytes().as_slice())
    .bind(to_i64(after.sequenced.0)?)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
