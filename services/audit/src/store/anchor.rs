//! Anchors and their signed transactions.

use ailayer_store::{StoreError, Tx};
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Transaction, Txid};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};

use super::{damage, to_i32, to_i64, to_u32, to_u64};
use crate::domain::anchor::{Anchor, AnchorState, Attempt, Inclusion};
use crate::domain::spv::{BlockRef, MerkleBranch};

mod attempts;

/// Writes a new anchor with its first transaction; returns its id. The id in `anchor` is not looked at.
pub async fn insert_in_tx(tx: &mut Tx, anchor: &Anchor) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "insert into anchor (tree_size, state, created_unix_ms, waiting_height) values ($1, $2, $3, $4)
         returning anchor_id",
    )
    .bind(to_i64(anchor.tree_size)?)
    .bind(anchor.state.as_str())
    .bind(to_i64(anchor.created_unix_ms)?)
    .bind(to_i32(anchor.waiting_height)?)
    .fetch_one(&mut **tx)
    .await?;
    let anchor_id = row.try_get(0)?;
    for (number, attempt) in anchor.attempts.iter().enumerate() {
        attempts::insert_in_tx(tx, anchor_id, number, attempt).await?;
    }
    Ok(anchor_id)
}

/// Adds the newest attempt of an anchor, a replacement of the one before.
pub async fn add_attempt_in_tx(tx: &mut Tx, anchor: &Anchor) -> Result<(), StoreError> {
    let newest = anchor.attempts.iter().enumerate().next_back();
    let (number, attempt) = newest.ok_or_else(|| damage("an anchor without a transaction"))?;
    attempts::insert_in_tx(tx, anchor.anchor_id, number, attempt).await?;
    update_in_tx(tx, anchor).await
}

/// Stores where an anchor stands now.
pub async fn update_in_tx(tx: &mut Tx, anchor: &Anchor) -> Result<(), StoreError> {
    let inclusion = anchor.inclusion.as_ref();
    sqlx::query(
        "update anchor set state = $2, waiting_height = $3, included_txid = $4, block_hash = $5, block_height = $6,
             branch_position = $7, branch_siblings = $8, headers = $9
         where anchor_id = $1",
    )
    .bind(anchor.anchor_id)
    .bind(anchor.state.as_str())
    .bind(to_i32(anchor.waiting_height)?)
    .bind(inclusion.map(|inclusion| inclusion.txid.to_byte_array().to_vec()))
    .bind(inclusion.map(|inclusion| inclusion.block.block_hash.to_byte_array().to_vec()))
    .bind(inclusion.map(|inclusion| to_i32(inclusion.block.height)).transpose()?)
    .bind(inclusion.map(|inclusion| i64::from(inclusion.branch.position)))
    .bind(inclusion.map(|inclusion| inclusion.branch.siblings.concat()))
    .bind(inclusion.map(|inclusion| inclusion.headers.concat()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Anchors that are not at an end: SIGNED, BROADCAST and CONFIRMED, oldest first.
pub async fn open(pool: &PgPool) -> Result<Vec<Anchor>, StoreError> {
    let rows = sqlx::query(
        "select * from anchor where state in ('signed', 'broadcast', 'confirmed') order by anchor_id",
    )
    .fetch_all(pool)
    .await?;
    anchors(pool, rows).await
}

/// FINAL anchors in blocks from a height upwards: those that a reorganisation may still touch.
pub async fn final_from(pool: &PgPool, height: u32) -> Result<Vec<Anchor>, StoreError> {
    let rows = sqlx::query(
        "select * from anchor where state = 'final' and block_height >= $1 order by block_height",
    )
    .bind(to_i32(height)?)
    .fetch_all(pool)
    .await?;
    anchors(pool, rows).await
}

/// The newest anchor that is not CONFLICTED.
pub async fn newest(pool: &PgPool) -> Result<Option<Anchor>, StoreError> {
    let row = sqlx::query("select * from anchor where state <> 'conflicted' order by anchor_id desc limit 1")
        .fetch_optional(pool)
        .await?;
    Ok(anchors(pool, row.into_iter().collect()).await?.pop())
}

/// The FINAL anchor of the smallest tree that holds a leaf.
pub async fn smallest_final_over(pool: &PgPool, leaf_index: u64) -> Result<Option<Anchor>, StoreError> {
    let row = sqlx::query(
        "select * from anchor where state = 'final' and tree_size > $1 order by tree_size, anchor_id limit 1",
    )
    .bind(to_i64(leaf_index)?)
    .fetch_optional(pool)
    .await?;
    Ok(anchors(pool, row.into_iter().collect()).await?.pop())
}

/// Anchors below an id, newest first, at most `limit`; CONFLICTED ones are left out.
pub async fn page(pool: &PgPool, below: Option<i64>, limit: u32) -> Result<Vec<Anchor>, StoreError> {
    let rows = sqlx::query(
        "select * from anchor where state <> 'conflicted' and anchor_id < $1 order by anchor_id desc limit $2",
    )
    .bind(below.unwrap_or(i64::MAX))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    anchors(pool, rows).await
}

/// Every anchor from an id upwards, at most `limit`: for checking all of them.
pub async fn every(pool: &PgPool, from: i64, limit: u32) -> Result<Vec<Anchor>, StoreError> {
    let rows = sqlx::query("select * from anchor where anchor_id >= $1 order by anchor_id limit $2")
        .bind(from)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await?;
    anchors(pool, rows).await
}

async fn anchors(pool: &PgPool, rows: Vec<PgRow>) -> Result<Vec<Anchor>, StoreError> {
    let mut found = rows.iter().map(anchor).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<i64> = found.iter().map(|anchor| anchor.anchor_id).collect();
    let mut transactions = attempts::of(pool, &ids).await?;
    for anchor in &mut found {
        anchor.attempts = transactions.remove(&anchor.anchor_id).unwrap_or_default();
        if anchor.attempts.is_empty() {
            return Err(damage(format_args!("anchor {} has no transaction", anchor.anchor_id)));
        }
    }
    Ok(found)
}

fn anchor(row: &PgRow) -> Result<Anchor, StoreError> {
    let state: &str = row.try_get("state")?;
    Ok(Anchor {
        anchor_id: row.try_get("anchor_id")?,
        tree_size: to_u64(row.try_get("tree_size")?)?,
        state: AnchorState::parse(state).ok_or_else(|| damage(format_args!("anchor state {state:?}")))?,
        created_unix_ms: to_u64(row.try_get("created_unix_ms")?)?,
        waiting_height: to_u32(row.try_get::<i32, _>("waiting_height")?)?,
        attempts: Vec::new(),
        inclusion: inclusion(row)?,
    })
}

fn inclusion(row: &PgRow) -> Result<Option<Inclusion>, StoreError> {
    let Some(block_hash) = row.try_get::<Option<&[u8]>, _>("block_hash")? else { return Ok(None) };
    let block = BlockRef {
        block_hash: BlockHash::from_slice(block_hash).map_err(damage)?,
        height: to_u32(row.try_get::<i32, _>("block_height")?)?,
    };
    let branch = MerkleBranch {
        position: to_u32(row.try_get::<i64, _>("branch_position")?)?,
        siblings: pieces(row.try_get("branch_siblings")?)?,
    };
    let txid = Txid::from_slice(row.try_get("included_txid")?).map_err(damage)?;
    Ok(Some(Inclusion { txid, block, branch, headers: pieces(row.try_get("headers")?)? }))
}

/// Cuts bytes into pieces of one size.
fn pieces<const N: usize>(bytes: &[u8]) -> Result<Vec<[u8; N]>, StoreError> {
    let (pieces, rest) = bytes.as_chunks::<N>();
    if rest.is_empty() { Ok(pieces.to_vec()) } else { Err(damage("bytes that are no whole pieces")) }
}
