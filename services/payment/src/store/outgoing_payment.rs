//! The journal of outgoing payments.

use ailayer_primitives::{AmountMsat, PaymentHash, UnixMs};
use ailayer_store::StoreError;
use sqlx::postgres::PgRow;

use super::{Rows, corrupt, events, payout, row};
use crate::domain::event::Event;
use crate::domain::outgoing::{OutgoingPayment, PaymentState};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select payment_hash, bolt11, amount_msat, fee_limit_msat, fee_msat, state, failure_reason, \
             preimage, attempts from outgoing_payment ",
            $rest
        )
    };
}

/// How an insert ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// The row is new.
    New,
    /// The payment hash is taken; this is what it names.
    Existing(Box<OutgoingPayment>),
    /// The window's payments and this one would exceed the limit.
    VelocityExceeded,
    /// The hash is one of our own hold invoices.
    OwnInvoice,
}

/// Inserts a PENDING payment if the payments since `window_start`, failed ones apart, leave room. Fees count
/// with their limit until they are known.
pub async fn insert(
    rows: &Rows,
    payment: &OutgoingPayment,
    window_start: UnixMs,
    limit: AmountMsat,
    now: UnixMs,
) -> Result<Inserted, StoreError> {
    let mut tx = rows.begin().await?;
    payout::lock_in_tx(&mut tx).await?;
    let hash = payment.payment_hash.0.to_vec();
    let existing = sqlx::query(select!("where payment_hash = $1")).bind(&hash);
    if let Some(existing) = existing.fetch_optional(&mut *tx).await? {
        return Ok(Inserted::Existing(Box::new(read(&existing)?)));
    }
    let own = sqlx::query("select 1 from hold_invoice where payment_hash = $1").bind(&hash);
    if own.fetch_optional(&mut *tx).await?.is_some() {
        return Ok(Inserted::OwnInvoice);
    }
    let most = payment.amount.checked_add(payment.fee_limit).unwrap_or(AmountMsat::MAX);
    if !payout::fits_in_tx(&mut tx, window_start, most, limit).await? {
        return Ok(Inserted::VelocityExceeded);
    }
    sqlx::query(
        "insert into outgoing_payment (payment_hash, bolt11, amount_msat, fee_limit_msat, state, \
           created_unix_ms, updated_unix_ms) values ($1, $2, $3, $4, 'PENDING', $5, $5)",
    )
    .bind(&hash)
    .bind(&payment.bolt11)
    .bind(payment.amount.to_i64())
    .bind(payment.fee_limit.to_i64())
    .bind(row::time(now.0))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Inserted::New)
}

/// Looks a payment up.
pub async fn find(rows: &Rows, hash: PaymentHash) -> Result<Option<OutgoingPayment>, StoreError> {
    let found = sqlx::query(select!("where payment_hash = $1"))
        .bind(hash.0.as_bytes().as_slice())
        .fetch_optional(rows.pool())
        .await?;
    found.as_ref().map(read).transpose()
}

/// Payments whose outcome the node has not confirmed to have taken up, oldest first.
pub async fn find_pending(rows: &Rows, limit: u32) -> Result<Vec<OutgoingPayment>, StoreError> {
    let pending = sqlx::query(select!("where state = 'PENDING' order by created_unix_ms limit $1"));
    let found = pending.bind(i64::from(limit)).fetch_all(rows.pool()).await?;
    found.iter().map(read).collect()
}

/// Counts an attempt before the node is told. False if the payment is no longer PENDING.
pub async fn count_attempt(rows: &Rows, hash: PaymentHash, now: UnixMs) -> Result<bool, StoreError> {
    let count = "update outgoing_payment set attempts = attempts + 1, updated_unix_ms = $2 \
         where payment_hash = $1 and state = 'PENDING'";
    change_pending(rows, count, hash, now).await
}

/// The node has it: PENDING becomes IN_FLIGHT. False if it has moved on already.
pub async fn mark_in_flight(rows: &Rows, hash: PaymentHash, now: UnixMs) -> Result<bool, StoreError> {
    let mark = "update outgoing_payment set state = 'IN_FLIGHT', updated_unix_ms = $2 \
         where payment_hash = $1 and state = 'PENDING'";
    change_pending(rows, mark, hash, now).await
}

async fn change_pending(
    rows: &Rows,
    sql: &'static str,
    hash: PaymentHash,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let mut tx = rows.begin().await?;
    let change = sqlx::query(sql).bind(hash.0.as_bytes().as_slice()).bind(row::time(now.0));
    let changed = change.execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(changed.rows_affected() == 1)
}

/// Ends a payment that is still open, with its event, in one commit. False if it had ended before.
pub async fn end(rows: &Rows, ended: &OutgoingPayment, now: UnixMs) -> Result<bool, StoreError> {
    let mut tx = rows.begin().await?;
    let moved = sqlx::query(
        "update outgoing_payment set state = $2, fee_msat = $3, failure_reason = $4, preimage = $5, \
           updated_unix_ms = $6 \
         where payment_hash = $1 and state in ('PENDING', 'IN_FLIGHT')",
    )
    .bind(ended.payment_hash.0.as_bytes().as_slice())
    .bind(ended.state.as_str())
    .bind(ended.fee.to_i64())
    .bind(&ended.failure_reason)
    .bind(ended.preimage.map(|preimage| preimage.to_vec()))
    .bind(row::time(now.0))
    .execute(&mut *tx)
    .await?;
    if moved.rows_affected() != 1 {
        return Ok(false);
    }
    events::append_in_tx(&mut tx, &Event::PaymentEnded(ended.clone())).await?;
    tx.commit().await?;
    Ok(true)
}

/// Records money that left the node although no row says so. Idempotent by the payment hash.
pub async fn record_unexpected(
    rows: &Rows,
    hash: PaymentHash,
    preimage: &[u8; 32],
    amount: Option<AmountMsat>,
    fee: AmountMsat,
    note: &str,
    now: UnixMs,
) -> Result<(), StoreError> {
    let mut tx = rows.begin().await?;
    sqlx::query(
        "insert into unexpected_payment (payment_hash, preimage, amount_msat, fee_msat, note, recorded_unix_ms) \
         values ($1, $2, $3, $4, $5, $6) on conflict do nothing",
    )
    .bind(hash.0.as_bytes().as_slice())
    .bind(preimage.as_slice())
    .bind(amount.map(AmountMsat::to_i64))
    .bind(fee.to_i64())
    .bind(note)
    .bind(row::time(now.0))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

fn read(found: &PgRow) -> Result<OutgoingPayment, StoreError> {
    let state: &str = row::get(found, "state")?;
    Ok(OutgoingPayment {
        payment_hash: row::payment_hash(found)?,
        bolt11: row::get(found, "bolt11")?,
        amount: row::msat(found, "amount_msat")?,
        fee_limit: row::msat(found, "fee_limit_msat")?,
        fee: row::msat(found, "fee_msat")?,
        state: PaymentState::from_name(state).ok_or_else(|| corrupt(format!("payment state {state:?}")))?,
        failure_reason: row::get(found, "failure_reason")?,
        preimage: row::opt_bytes(found, "preimage")?,
        attempts: row::u32_of(found, "attempts")?,
    })
}
