//! Everything that ever came in and went out, summed up in one snapshot.

use ailayer_store::StoreError;
use sqlx::Row as _;

use super::{Rows, corrupt};
use crate::domain::funds::Range;

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
    /// What their recipients got, as far as the node said, millisatoshi.
    pub unexpected_sent_msat: u64,
    /// What forwarding others' payments earned, millisatoshi.
    pub forwarding_earned_msat: u64,
    /// What the node was told to take and has not said to have taken, millisatoshi.
    pub claim_requested_msat: u64,
    /// What the channels held before their first payments, and all corrections, millisatoshi.
    pub opened_msat: i64,
    /// What closed channels held when they closed, millisatoshi.
    pub closed_msat: Range,
}

impl Journal {
    /// What the node's open channels should hold for it, millisatoshi.
    pub fn expected_in_channels(&self) -> Range {
        let came = i128::from(self.opened_msat)
            + i128::from(self.claimed_msat)
            + i128::from(self.unexpected_received_msat)
            + i128::from(self.forwarding_earned_msat);
        let left =
            i128::from(self.sent_msat) + i128::from(self.unexpected_sent_msat) + i128::from(self.fees_msat);
        Range::exactly(came - left).minus(self.closed_msat)
    }
}

/// Reads the sums. One statement, so one snapshot: rows move, and with them their sums, in the transactions that append their events.
/// Takes the same time however long the journal is.
pub async fn read(rows: &Rows) -> Result<Journal, StoreError> {
    let row = sqlx::query(
        "select (select head from event_cursor), claimed_msat, unexpected_received_msat, sent_msat, fees_msat,
            unexpected_payments, unexpected_sent_msat, (select earned_msat from forwarding),
            (select coalesce(sum(accepted_amount_msat), 0)::bigint from hold_invoice where state = 'CLAIM_REQUESTED'),
            (select coalesce(sum(opened_msat), 0)::bigint from channel_funds)
                + (select coalesce(sum(msat), 0)::bigint from funds_correction),
            (select coalesce(sum(closed_min_msat), 0)::bigint from channel_funds),
            (select coalesce(sum(closed_max_msat), 0)::bigint from channel_funds)
         from journal_sum",
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
        unexpected_sent_msat: sum(6)?,
        forwarding_earned_msat: sum(7)?,
        claim_requested_msat: sum(8)?,
        opened_msat: row.try_get(9)?,
        closed_msat: Range { min: row.try_get::<i64, _>(10)?.into(), max: row.try_get::<i64, _>(11)?.into() },
    })
}

#[cfg(test)]
mod tests;
