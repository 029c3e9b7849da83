//! The table `header`.

use std::collections::BTreeMap;

use ailayer_primitives::Network;
use ailayer_store::{StoreError, Tx};
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Work};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};

use crate::domain::block::{BlockRef, ChainEvent, ChainHeader};

/// Blocks and the tip as they were at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The newest block.
    pub tip: ChainHeader,
    /// Those of the asked heights that exist.
    pub headers: BTreeMap<u32, ChainHeader>,
}

/// The newest header; `None` before the base was stored.
pub(super) async fn tip(pool: &PgPool) -> Result<Option<ChainHeader>, StoreError> {
    let row = sqlx::query("select height, raw, chain_work from header order by height desc limit 1")
        .fetch_optional(pool)
        .await?;
    row.map(|row| read(&row)).transpose()
}

/// At most `limit` headers, ascending from a height.
pub(super) async fn range(
    pool: &PgPool,
    start_height: u32,
    limit: u32,
) -> Result<Vec<ChainHeader>, StoreError> {
    let rows =
        sqlx::query("select height, raw, chain_work from header where height >= $1 order by height limit $2")
            .bind(i64::from(start_height))
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?;
    rows.iter().map(read).collect()
}

/// The newest `count` headers, ascending.
pub(super) async fn newest(pool: &PgPool, count: u32) -> Result<Vec<ChainHeader>, StoreError> {
    let rows = sqlx::query("select height, raw, chain_work from header order by height desc limit $1")
        .bind(i64::from(count))
        .fetch_all(pool)
        .await?;
    rows.iter().rev().map(read).collect()
}

/// Tip and headers in one statement, so that they belong together.
pub(super) async fn snapshot(pool: &PgPool, heights: &[u32]) -> Result<Option<Snapshot>, StoreError> {
    let wanted: Vec<i64> = heights.iter().copied().map(i64::from).collect();
    let rows = sqlx::query(
        "select height, raw, chain_work from header
         where height = any($1) or height = (select max(height) from header)
         order by height",
    )
    .bind(&wanted)
    .fetch_all(pool)
    .await?;
    let found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let Some(tip) = found.last().copied() else { return Ok(None) };
    let headers = found
        .into_iter()
        .filter(|header| heights.contains(&header.height))
        .map(|header| (header.height, header))
        .collect();
    Ok(Some(Snapshot { tip, headers }))
}

/// Takes steps into the table. They must start at the stored tip; otherwise nothing may be committed.
pub(super) async fn apply_in_tx(tx: &mut Tx, events: &[ChainEvent]) -> Result<(), StoreError> {
    let Some(first) = events.first() else { return Ok(()) };
    check_start_in_tx(tx, first).await?;
    let is_left = |event: &&ChainEvent| matches!(event, ChainEvent::Disconnected(_));
    let lowest_left = events.iter().filter(is_left).map(|event| event.block().height).min();
    if let Some(lowest) = lowest_left {
        sqlx::query("delete from header where height >= $1")
            .bind(i64::from(lowest))
            .execute(&mut **tx)
            .await?;
    }
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for event in events {
        if let ChainEvent::Connected(block) = event {
            columns.0.push(i64::from(block.height));
            columns.1.push(block.block_hash.to_byte_array().to_vec());
            columns.2.push(serialize(&block.header));
            columns.3.push(block.chain_work.to_be_bytes().to_vec());
        }
    }
    sqlx::query(
        "insert into header (height, block_hash, raw, chain_work)
         select * from unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::bytea[])",
    )
    .bind(columns.0)
    .bind(columns.1)
    .bind(columns.2)
    .bind(columns.3)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The first step must leave, or build on, the block that is the tip in storage.
async fn check_start_in_tx(tx: &mut Tx, first: &ChainEvent) -> Result<(), StoreError> {
    let stored: Option<Vec<u8>> =
        sqlx::query_scalar("select block_hash from header order by height desc limit 1")
            .fetch_optional(&mut **tx)
            .await?;
    let expected = match first {
        ChainEvent::Disconnected(block) => block.block_hash,
        ChainEvent::Connected(block) => block.header.prev_blockhash,
    };
    let fits = stored.is_none_or(|hash| hash == BlockHash::as_byte_array(&expected));
    if fits { Ok(()) } else { Err(StoreError::Corrupt("the stored tip is not the one followed".to_owned())) }
}

fn read(row: &PgRow) -> Result<ChainHeader, StoreError> {
    let height: i64 = row.try_get("height")?;
    let raw: Vec<u8> = row.try_get("raw")?;
    let work: Vec<u8> = row.try_get("chain_work")?;
    let corrupt = || StoreError::Corrupt(format!("header at height {height} does not decode"));
    let header = deserialize::<bitcoin::block::Header>(&raw).map_err(|_| corrupt())?;
    Ok(ChainHeader {
        height: u32::try_from(height).map_err(|_| corrupt())?,
        block_hash: header.block_hash(),
        header,
        chain_work: Work::from_be_bytes(work.try_into().map_err(|_| corrupt())?),
    })
}

/// The network and base of the stored chain.
pub(super) async fn base(pool: &PgPool) -> Result<Option<(String, BlockRef)>, StoreError> {
    let row = sqlx::query("select network, base_height, base_hash from chain").fetch_optional(pool).await?;
    let Some(row) = row else { return Ok(None) };
    let corrupt = || StoreError::Corrupt("the base of the chain does not decode".to_owned());
    let height: i64 = row.try_get("base_height")?;
    let hash: Vec<u8> = row.try_get("base_hash")?;
    let block_hash = BlockHash::from_slice(&hash).map_err(|_| corrupt())?;
    let height = u32::try_from(height).map_err(|_| corrupt())?;
    Ok(Some((row.try_get("network")?, BlockRef { block_hash, height })))
}

/// Records what the chain stands on. A second base is a conflict.
pub(super) async fn insert_base_in_tx(
    tx: &mut Tx,
    network: Network,
    base: BlockRef,
) -> Result<(), StoreError> {
    sqlx::query("insert into chain (network, base_height, base_hash) values ($1, $2, $3)")
        .bind(network.as_str())
        .bind(i64::from(base.height))
        .bind(base.block_hash.to_byte_array().to_vec())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
