//! Everything that ever came in and went out, summed up in one snapshot.

use ailayer_store::StoreError;
use sqlx::Row as _;

use super::{Rows, corrupt};

/// The sums, as of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Journal {
    /// The newest event that is in the sums.
    pub cursor: u64,
    /// What was taken of claimed hold invoices, millisatoshi.
    pub claimed_msat: u64,
    /// What came in although no row asked for it, millisatoshi.
    pub unexpected_received_msat: u64,
    /// What was sent, without fees, millisatoshi.
    pub sent_msat: u64,
    /// What sending cost, millisatoshi.
    pub fees_msat: u64,
    /// Payments that left although no row says so.
    pub unexpected_payments: u64,
}

/// Reads the sums. One statement, so one snapshot: rows move in the transactions that append their events.
pub async fn read(rows: &Rows) -> Result<Journal, StoreError> {
    let row = sqlx::query(
        "select (select head from event_cursor),
            (select coalesce(sum(accepted_amount_msat), 0)::bigint from hold_invoice where state = 'CLAIMED'),
            (select coalesce(sum(amount_msat), 0)::bigint from unexpected_receipt),
            (select coalesce(sum(amount_msat), 0)::bigint from outgoing_payment where state = 'SUCCEEDED'),
            (select coalesce(sum(fee_msat), 0)::bigint from outgoing_payment where state = 'SUCCEEDED')
                + (select coalesce(sum(fee_msat), 0)::bigint from unexpected_payment),
            (select count(*) from unexpected_payment)",
    )
    .fetch_one(rows.pool())
    .await?;
    let sum = |index: usize| -> Result<u64, StoreError> {
        u64::try_from(row.try_get::<i64, _>(index)?).map_err(corrupt)
    };
    Ok(Journal {
        cursor: sum(0)?,
        claimed_msat: sum(1)?,
        unexpected_received_msat: sum(2)?,
        sent_msat: sum(3)?,
        fees_msat: sum(4)?,
        unexpected_payments: sum(5)?,
    })
}
