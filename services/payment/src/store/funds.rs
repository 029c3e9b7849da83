//! What each channel held when it opened, when it was last looked at, and when it closed; and what forwarding earned.

use std::collections::BTreeSet;

use ailayer_primitives::{AmountMsat, AmountSat, Digest, UnixMs};
use ailayer_store::{StoreError, Tx};

use super::{Rows, channel, corrupt, row};
use crate::domain::channel::UserChannelId;
use crate::domain::funds::{ChannelId, OpenChannel, Range, Seen};

/// A channel that was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// True if this node opened it.
    pub outbound: bool,
    /// What it held before its first payment.
    pub opened: AmountMsat,
    /// What it held when it was last looked at with nothing in flight.
    pub seen: Option<Seen>,
    /// What hold invoices and outgoing payments have locked now, or have moved since that look, in whatever channel; at most its size.
    pub moved: AmountMsat,
    /// The protocol's id.
    pub channel_id: ChannelId,
    /// The channel's size.
    pub amount: AmountSat,
    /// True once both sides had confirmed it.
    pub was_ready: bool,
    /// True once its close is written down.
    pub closed: bool,
}

/// True once the comparison has begun.
pub async fn has_begun(rows: &Rows) -> Result<bool, StoreError> {
    let found = sqlx::query("select 1 from funds_correction limit 1").fetch_optional(rows.pool()).await?;
    Ok(found.is_some())
}

/// What makes the books agree.
#[derive(Debug)]
pub struct Correction<'a> {
    /// Channels of which the rows know nothing, and what they hold.
    pub taken_in: &'a [(OpenChannel, AmountMsat)],
    /// What nothing explains, millisatoshi.
    pub msat: i64,
    /// True if closed channels are taken for what they held at least from now on.
    pub settles_bounds: bool,
    /// Why.
    pub note: &'a str,
}

/// Corrects the books, durably and at once.
pub async fn correct(rows: &Rows, correction: &Correction<'_>, now: UnixMs) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    for (channel, held) in correction.taken_in {
        insert_in_tx(&mut tx, channel, *held, now).await?;
    }
    if correction.settles_bounds {
        sqlx::query(
            "update channel_funds set closed_max_msat = closed_min_msat where closed_max_msat > closed_min_msat",
        )
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query("insert into funds_correction (msat, note, recorded_unix_ms) values ($1, $2, $3)")
        .bind(correction.msat)
        .bind(correction.note)
        .bind(row::time(now.0))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Writes down what a channel holds before its first payment. The first word stays.
pub async fn record_opened(
    rows: &Rows,
    channel: &OpenChannel,
    held: AmountMsat,
    now: UnixMs,
) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    insert_in_tx(&mut tx, channel, held, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn insert_in_tx(
    tx: &mut Tx,
    channel: &OpenChannel,
    held: AmountMsat,
    now: UnixMs,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into channel_funds (user_channel_id, channel_id, outbound, amount_sat, opened_msat, opened_unix_ms) \
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(channel.user_channel_id.to_bytes().as_slice())
    .bind(channel.channel_id.as_slice())
    .bind(channel.outbound)
    .bind(row::sat_param(channel.amount))
    .bind(held.to_i64())
    .bind(row::time(now.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Writes down what channels were seen to hold with nothing in flight.
pub async fn record_seen(rows: &Rows, seen: &[(UserChannelId, Seen)], now: UnixMs) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    for (channel, seen) in seen {
        sqlx::query(
            "update channel_funds set seen_msat = $2, seen_to_self_sat = $3, seen_unix_ms = $4 \
             where user_channel_id = $1",
        )
        .bind(channel.to_bytes().as_slice())
        .bind(seen.held.to_i64())
        .bind(row::sat_param(seen.to_self))
        .bind(row::time(now.0))
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Looks a channel up.
pub async fn find(rows: &Rows, channel: UserChannelId) -> Result<Option<Known>, StoreError> {
    let found = sqlx::query(
        "select outbound, opened_msat, seen_msat, seen_to_self_sat, channel_id, amount_sat, \
           closed_unix_ms is not null as closed, \
           least(amount_sat * 1000, \
             (select coalesce(sum(accepted_amount_msat), 0)::bigint from hold_invoice \
               where state in ('ACCEPTED', 'CLAIM_REQUESTED', 'RELEASE_REQUESTED') \
                 or (accepted_amount_msat is not null \
                   and updated_unix_ms >= coalesce(seen_unix_ms, opened_unix_ms))) \
             + (select coalesce(sum(amount_msat + fee_limit_msat), 0)::bigint from outgoing_payment \
               where state = 'IN_FLIGHT' or updated_unix_ms >= coalesce(seen_unix_ms, opened_unix_ms)) \
           ) as moved_msat, \
           exists (select from channel where channel.user_channel_id = channel_funds.user_channel_id) as was_ready \
         from channel_funds where user_channel_id = $1",
    )
    .bind(channel.to_bytes().as_slice())
    .fetch_optional(rows.pool())
    .await?;
    let Some(found) = found else { return Ok(None) };
    let seen = match row::opt_msat(&found, "seen_msat")? {
        Some(held) => Some(Seen { held, to_self: row::sat(&found, "seen_to_self_sat")? }),
        None => None,
    };
    Ok(Some(Known {
        outbound: row::get(&found, "outbound")?,
        opened: row::msat(&found, "opened_msat")?,
        seen,
        moved: row::msat(&found, "moved_msat")?,
        channel_id: row::bytes(&found, "channel_id")?,
        amount: row::sat(&found, "amount_sat")?,
        was_ready: row::get(&found, "was_ready")?,
        closed: row::get(&found, "closed")?,
    }))
}

/// Writes down what a channel held when it closed. The first word stays.
pub async fn record_closed(
    rows: &Rows,
    channel: UserChannelId,
    held: Range,
    now: UnixMs,
) -> Result<(), StoreError> {
    let bound = |msat: i128| i64::try_from(msat).map_err(corrupt);
    let mut tx = rows.begin().await?;
    sqlx::query(
        "update channel_funds set closed_min_msat = $2, closed_max_msat = $3, closed_unix_ms = $4 \
         where user_channel_id = $1 and closed_unix_ms is null",
    )
    .bind(channel.to_bytes().as_slice())
    .bind(bound(held.min)?)
    .bind(bound(held.max)?)
    .bind(row::time(now.0))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// The channels that were told of and are not closed.
pub async fn open_channels(rows: &Rows) -> Result<BTreeSet<UserChannelId>, StoreError> {
    let found = sqlx::query("select user_channel_id from channel_funds where closed_unix_ms is null")
        .fetch_all(rows.pool())
        .await?;
    let id = |found| channel::user_channel_id(found)?.ok_or_else(|| corrupt("a channel without an id"));
    found.iter().map(id).collect()
}

/// Counts what a forwarded payment earned, once: what was counted last, and was not forgotten since, is the same event again.
pub async fn record_forwarded(rows: &Rows, fee: AmountMsat, fingerprint: Digest) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "update forwarding set earned_msat = earned_msat + $1, payments = payments + 1, undropped = $2 \
         where undropped is distinct from $2",
    )
    .bind(fee.to_i64())
    .bind(fingerprint.as_bytes().as_slice())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// The node has dropped the event that was counted last.
pub async fn forget_forwarded(rows: &Rows) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    sqlx::query("update forwarding set undropped = null").execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
