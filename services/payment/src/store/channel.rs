//! Channel orders, and what the log already said about channels.

use ailayer_primitives::{AmountMsat, RequestId, UnixMs};
use ailayer_store::{StoreError, Tx};
use bitcoin::hashes::Hash as _;
use bitcoin::{OutPoint, Txid};
use sqlx::postgres::PgRow;

use super::{Rows, corrupt, events, payout, row};
use crate::domain::channel::{Channel, ChannelOrder, UserChannelId};
use crate::domain::event::Event;

/// A stored order and, once the node has begun, the channel it became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOrder {
    /// What was asked for.
    pub order: ChannelOrder,
    /// What it became.
    pub user_channel_id: Option<UserChannelId>,
    /// True if this call stored it.
    pub new: bool,
}

/// How an insert ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// The order is stored, by this call or an earlier one.
    Stored(StoredOrder),
    /// What left in the window and what this order gives away would exceed the limit.
    VelocityExceeded,
}

/// Stores an order, or reads the one its request id names. One that gives money away is stored only if what left since
/// `window_start` leaves room.
pub async fn get_or_insert_order(
    rows: &Rows,
    request_id: RequestId,
    order: &ChannelOrder,
    window_start: UnixMs,
    limit: AmountMsat,
    now: UnixMs,
) -> Result<Inserted, StoreError> {
    let mut tx = rows.begin().await?;
    if order.push > AmountMsat::ZERO {
        payout::lock_in_tx(&mut tx).await?;
    }
    if let Some(stored) = find_order_in_tx(&mut tx, request_id).await? {
        return Ok(Inserted::Stored(stored));
    }
    if order.push > AmountMsat::ZERO && !payout::fits_in_tx(&mut tx, window_start, order.push, limit).await? {
        return Ok(Inserted::VelocityExceeded);
    }
    sqlx::query(
        "insert into channel_order (request_id, peer_node_id, peer_address, amount_sat, push_msat, announce, \
           created_unix_ms) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(request_id.uuid())
    .bind(order.peer_node_id.serialize().as_slice())
    .bind(&order.peer_address)
    .bind(row::sat_param(order.amount))
    .bind(order.push.to_i64())
    .bind(order.announce)
    .bind(row::time(now.0))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Inserted::Stored(StoredOrder { order: order.clone(), user_channel_id: None, new: true }))
}

/// Looks an order up.
pub async fn find_order(rows: &Rows, request_id: RequestId) -> Result<Option<StoredOrder>, StoreError> {
    find_order_in_tx(&mut rows.begin().await?, request_id).await
}

async fn find_order_in_tx(tx: &mut Tx, request_id: RequestId) -> Result<Option<StoredOrder>, StoreError> {
    let found = sqlx::query(
        "select peer_node_id, peer_address, amount_sat, push_msat, announce, user_channel_id \
         from channel_order where request_id = $1",
    )
    .bind(request_id.uuid())
    .fetch_optional(&mut **tx)
    .await?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some(StoredOrder {
        order: ChannelOrder {
            peer_node_id: row::node_id(&found, "peer_node_id")?,
            peer_address: row::get(&found, "peer_address")?,
            amount: row::sat(&found, "amount_sat")?,
            push: row::msat(&found, "push_msat")?,
            announce: row::get(&found, "announce")?,
        },
        user_channel_id: user_channel_id(&found)?,
        new: false,
    }))
}

/// Forgets an order the node refused, so that the same request may be tried again once its cause is mended.
pub async fn forget_order(rows: &Rows, request_id: RequestId) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    sqlx::query("delete from channel_order where request_id = $1 and user_channel_id is null")
        .bind(request_id.uuid())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Ties an order to its channel.
pub async fn set_channel(
    rows: &Rows,
    request_id: RequestId,
    channel: UserChannelId,
) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "update channel_order set user_channel_id = $2 where request_id = $1 and user_channel_id is null",
    )
    .bind(request_id.uuid())
    .bind(channel.to_bytes().as_slice())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// True if an order became this channel.
pub async fn is_ordered(rows: &Rows, channel: UserChannelId) -> Result<bool, StoreError> {
    let found = sqlx::query("select 1 from channel_order where user_channel_id = $1")
        .bind(channel.to_bytes().as_slice())
        .fetch_optional(rows.pool())
        .await?;
    Ok(found.is_some())
}

/// Records that a channel became usable, with its event. False if the log says so already.
pub async fn record_ready(rows: &Rows, channel: &Channel, now: UnixMs) -> Result<bool, StoreError> {
    let mut tx = rows.begin().await?;
    let inserted = sqlx::query(
        "insert into channel (user_channel_id, peer_node_id, funding_txid, funding_vout, amount_sat, announced, \
           ready_unix_ms) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
    )
    .bind(channel.user_channel_id.to_bytes().as_slice())
    .bind(channel.peer_node_id.serialize().as_slice())
    .bind(channel.funding.map(|funding| funding.txid.to_byte_array().to_vec()))
    .bind(channel.funding.map(|funding| i64::from(funding.vout)))
    .bind(row::sat_param(channel.amount))
    .bind(channel.announced)
    .bind(row::time(now.0))
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() != 1 {
        return Ok(false);
    }
    events::append_in_tx(&mut tx, &Event::ChannelReady(channel.clone())).await?;
    tx.commit().await?;
    Ok(true)
}

/// Records that a channel was closed, with its event. `None` if it was never usable, or closed before.
pub async fn record_closed(
    rows: &Rows,
    channel: UserChannelId,
    reason: &str,
    now: UnixMs,
) -> Result<Option<Channel>, StoreError> {
    let mut tx = rows.begin().await?;
    let closed = sqlx::query(
        "update channel set closed_unix_ms = $2, close_reason = $3 \
         where user_channel_id = $1 and closed_unix_ms is null \
         returning user_channel_id, peer_node_id, funding_txid, funding_vout, amount_sat, announced",
    )
    .bind(channel.to_bytes().as_slice())
    .bind(row::time(now.0))
    .bind(reason)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(closed) = closed.as_ref().map(read_closed).transpose()? else { return Ok(None) };
    events::append_in_tx(&mut tx, &Event::ChannelClosed(closed.clone())).await?;
    tx.commit().await?;
    Ok(Some(closed))
}

fn read_closed(found: &PgRow) -> Result<Channel, StoreError> {
    let txid = row::opt_bytes::<32>(found, "funding_txid")?;
    let funding = txid.zip(row::opt_u32(found, "funding_vout")?);
    Ok(Channel {
        user_channel_id: user_channel_id(found)?.ok_or_else(|| corrupt("a channel without an id"))?,
        peer_node_id: row::node_id(found, "peer_node_id")?,
        outbound: false,
        funding: funding.map(|(txid, vout)| OutPoint { txid: Txid::from_byte_array(txid), vout }),
        amount: row::sat(found, "amount_sat")?,
        outbound_capacity: AmountMsat::ZERO,
        inbound_capacity: AmountMsat::ZERO,
        ready: false,
        usable: false,
        announced: row::get(found, "announced")?,
    })
}

pub(super) fn user_channel_id(found: &PgRow) -> Result<Option<UserChannelId>, StoreError> {
    let bytes = row::opt_bytes::<16>(found, "user_channel_id")?;
    Ok(bytes.map(|bytes| UserChannelId(u128::from_be_bytes(bytes))))
}
