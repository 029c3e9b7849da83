//! What leaves within an hour.

use ailayer_primitives::{AmountMsat, UnixMs};
use ailayer_store::{StoreError, Tx};

use super::row;

/// Serialises the sum and the insert of what leaves, so that the velocity limit holds under concurrency.
const LOCK: i64 = 0x7061_796f;

/// Waits for whoever else lets money out; theirs is committed when this returns. Until the transaction ends, nobody else does.
pub(super) async fn lock_in_tx(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut **tx).await?;
    Ok(())
}

/// Whether this much more may leave. Under the lock.
pub(super) async fn fits_in_tx(
    tx: &mut Tx,
    window_start: UnixMs,
    more: AmountMsat,
    limit: AmountMsat,
) -> Result<bool, StoreError> {
    let sum = "select coalesce(sum(msat), 0) + $2 <= $3 from payout where created_unix_ms >= $1";
    let fits = sqlx::query_scalar(sum)
        .bind(row::time(window_start.0))
        .bind(more.to_i64())
        .bind(limit.to_i64())
        .fetch_one(&mut **tx)
        .await?;
    Ok(fits)
}
