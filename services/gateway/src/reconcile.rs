//! Whether the books agree: the ledger with itself, with the payment service's journal as of the same event, and that journal with the
//! money in the node's channels.

use std::sync::Arc;
use std::time::Duration;

use ailayer_client::CallError;
use ailayer_client::payment::{Funds, Journal};
use ailayer_store::{Store, StoreError, inbox};
use thiserror::Error;

use crate::domain::ledger::{Asset, HouseKind};
use crate::ports::Payments;
use crate::store::ledger::audit::Findings;
use crate::store::ties::Ties;
use crate::store::{explained_payments, ledger, ties};
use crate::tasks::follow_payments::SOURCE;

/// How often both sides are read until they are at the same event.
const TRIES: u32 = 50;
/// How long between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Why nothing was compared.
#[derive(Debug, Error)]
pub enum ReconcileError {
    /// Events come faster than they are taken in.
    #[error("the ledger did not catch up with the payment service; try again when less is going on")]
    Behind,
    /// The payment service failed.
    #[error("payment: {0}")]
    Payment(#[from] CallError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The ledger against itself.
    pub findings: Findings,
    /// The ledger against jobs, deposits and the suspense queue.
    pub ties: Ties,
    /// What the ledger says is ours in Lightning, millisatoshi.
    pub ledger_msat: i64,
    /// What of it operators have booked as lost with channels, and is no longer there, millisatoshi.
    pub lost_msat: i64,
    /// The payment service's sums.
    pub journal: Journal,
    /// What of it came in, with and without a row that asked for it, millisatoshi.
    pub received_msat: u64,
    /// What is in the journal and cannot be in the ledger, by name: the difference it makes, millisatoshi.
    pub explained: Vec<(&'static str, i64)>,
    /// What is left of the difference.
    pub residue_msat: i128,
    /// How many payments without a row operators have explained.
    pub explained_payments: u64,
    /// The journal against the node's channels.
    pub funds: Funds,
}

/// Compares. Reads whole tables: for operators, not for a request's path.
pub async fn reconcile(store: &Store, payments: &Arc<dyn Payments>) -> Result<Report, ReconcileError> {
    for _ in 0..TRIES {
        let journal = payments.journal().await?;
        // Between these two looks at the cursor nothing was taken in, so the balance is as of that event.
        let before = inbox::cursor(store.pool(), SOURCE).await?;
        let kinds = [HouseKind::Lightning, HouseKind::ChannelLoss];
        let [ledger_msat, lost_msat] =
            ledger::accounts::house_balances(store.pool(), kinds, Asset::Btc).await?;
        let after = inbox::cursor(store.pool(), SOURCE).await?;
        if before == journal.cursor && after == journal.cursor {
            let findings = ledger::audit::verify(store.pool()).await?;
            let ties = ties::verify(store.pool()).await?;
            let explained_payments = explained_payments::count(store.pool()).await?;
            let funds = payments.compare_funds().await?;
            return Ok(Report {
                explained_payments,
                funds,
                ..report(findings, ties, [ledger_msat, lost_msat], journal)
            });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(ReconcileError::Behind)
}

fn report(findings: Findings, ties: Ties, [ledger_msat, lost_msat]: [i64; 2], journal: Journal) -> Report {
    let signed = |msat: u64| i64::try_from(msat).unwrap_or(i64::MAX);
    // The gateway sends nothing by itself: what the operator sent is the operator's, and is not in its ledger.
    let explained = [
        ("sent by the operator", signed(journal.sent_msat).saturating_neg()),
        ("fees of sending", signed(journal.fees_msat).saturating_neg()),
    ];
    let explained: Vec<_> = explained.into_iter().filter(|(_, msat)| *msat != 0).collect();
    // What came in must be in the ledger to the millisatoshi, as somebody's or in suspense, whether it is there still or was lost with a
    // channel; the rest explains what else the node did.
    let received_msat = journal.claimed_msat.saturating_add(journal.unexpected_received_msat);
    let residue_msat = i128::from(ledger_msat) + i128::from(lost_msat) - i128::from(received_msat);
    Report {
        findings,
        ties,
        ledger_msat,
        lost_msat,
        journal,
        received_msat,
        explained,
        residue_msat,
        explained_payments: 0,
        funds: Funds::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_counts_against_the_ledger_and_nothing_else() {
        let journal = Journal {
            cursor: 7,
            claimed_msat: 1000,
            unexpected_received_msat: 5,
            sent_msat: 300,
            fees_msat: 0,
            unexpected_payments: 0,
        };
        let with = |ledger| report(Findings::default(), Ties::default(), ledger, journal);
        let report = with([990, 0]);
        assert_eq!(report.residue_msat, -15);
        assert_eq!(with([1_005 - 40, 40]).residue_msat, 0, "what was lost had come in");
        assert_eq!(report.explained, [("sent by the operator", -300)]);
    }
}
