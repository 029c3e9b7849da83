//! Entries: exact bytes, by index and by leaf hash.

use std::collections::HashMap;

use ailayer_primitives::UnixMs;
use ailayer_store::{StoreError, Tx};
use ailayer_tlog::{NodeHash, leaf_hash};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use super::{damage, to_hash, to_i64, to_u64};
use crate::domain::batch::Sequenced;

/// A stored entry; its bytes were hashed again and fit its leaf hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Index, from 0.
    pub leaf_index: u64,
    /// Leaf hash of the bytes.
    pub leaf_hash: NodeHash,
    /// The exact bytes.
    pub bytes: Vec<u8>,
    /// When it was sequenced.
    pub sequenced: UnixMs,
}

/// New entries, column by column, for one statement.
#[derive(Debug, Default)]
pub struct NewEntries {
    leaf_indices: Vec<i64>,
    leaf_hashes: Vec<Vec<u8>>,
    bytes: Vec<Vec<u8>>,
}

impl NewEntries {
    /// Adds one.
    pub fn push(&mut self, leaf_index: u64, leaf_hash: NodeHash, bytes: &[u8]) -> Result<(), StoreError> {
        self.leaf_indices.push(to_i64(leaf_index)?);
        self.leaf_hashes.push(leaf_hash.as_bytes().to_vec());
        self.bytes.push(bytes.to_vec());
        Ok(())
    }
}

/// Writes the entries of one batch in one statement.
pub async fn insert_in_tx(tx: &mut Tx, entries: NewEntries, sequenced: UnixMs) -> Result<(), StoreError> {
    sqlx::query(
        "insert into entry (leaf_index, leaf_hash, bytes, sequenced_unix_ms)
         select leaf_index, leaf_hash, bytes, $4
         from unnest($1::bigint[], $2::bytea[], $3::bytea[]) as new (leaf_index, leaf_hash, bytes)",
    )
    .bind(entries.leaf_indices)
    .bind(entries.leaf_hashes)
    .bind(entries.bytes)
    .bind(to_i64(sequenced.0)?)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Those of the leaf hashes that the log holds.
pub async fn find_in_tx(
    tx: &mut Tx,
    leaf_hashes: &[NodeHash],
) -> Result<HashMap<NodeHash, Sequenced>, StoreError> {
    let names: Vec<Vec<u8>> = leaf_hashes.iter().map(|hash| hash.as_bytes().to_vec()).collect();
    let rows =
        sqlx::query("select leaf_index, leaf_hash, sequenced_unix_ms from entry where leaf_hash = any($1)")
            .bind(names)
            .fetch_all(&mut **tx)
            .await?;
    rows.iter().map(sequenced).collect()
}

/// Index and time of an entry by leaf hash.
pub async fn locate(pool: &PgPool, leaf_hash: NodeHash) -> Result<Option<Sequenced>, StoreError> {
    let row = sqlx::query("select leaf_index, leaf_hash, sequenced_unix_ms from entry where leaf_hash = $1")
        .bind(leaf_hash.as_bytes().as_slice())
        .fetch_optional(pool)
        .await?;
    Ok(row.as_ref().map(sequenced).transpose()?.map(|(_, found)| found))
}

/// An entry by index.
pub async fn by_index(pool: &PgPool, leaf_index: u64) -> Result<Option<StoredEntry>, StoreError> {
    let Ok(leaf_index) = i64::try_from(leaf_index) else { return Ok(None) };
    let row = sqlx::query(
        "select leaf_index, leaf_hash, bytes, sequenced_unix_ms from entry where leaf_index = $1",
    )
    .bind(leaf_index)
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(stored).transpose()
}

/// An entry by leaf hash.
pub async fn by_leaf_hash(pool: &PgPool, leaf_hash: NodeHash) -> Result<Option<StoredEntry>, StoreError> {
    let row =
        sqlx::query("select leaf_index, leaf_hash, bytes, sequenced_unix_ms from entry where leaf_hash = $1")
            .bind(leaf_hash.as_bytes().as_slice())
            .fetch_optional(pool)
            .await?;
    row.as_ref().map(stored).transpose()
}

/// Entries from an index upwards, in order, at most `limit`. Each is hashed again and compared.
pub async fn page(pool: &PgPool, from: u64, limit: u32) -> Result<Vec<StoredEntry>, StoreError> {
    let rows = sqlx::query(
        "select leaf_index, leaf_hash, bytes, sequenced_unix_ms from entry
         where leaf_index >= $1 order by leaf_index limit $2",
    )
    .bind(to_i64(from)?)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(stored).collect()
}

fn sequenced(row: &PgRow) -> Result<(NodeHash, Sequenced), StoreError> {
    let leaf_index = to_u64(row.try_get("leaf_index")?)?;
    let at = UnixMs(to_u64(row.try_get("sequenced_unix_ms")?)?);
    Ok((to_hash(row.try_get("leaf_hash")?)?, Sequenced { leaf_index, at }))
}

fn stored(row: &PgRow) -> Result<StoredEntry, StoreError> {
    let (hash, Sequenced { leaf_index, at }) = sequenced(row)?;
    let bytes: Vec<u8> = row.try_get("bytes")?;
    if leaf_hash(&bytes) != hash {
        return Err(damage(format_args!("entry {leaf_index} is not what its leaf hash says")));
    }
    Ok(StoredEntry { leaf_index, leaf_hash: hash, bytes, sequenced: at })
}
