//! `Reconcile`: the ledger against itself and the payment service's journal.

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_proto::ailayer::gateway::v1 as pb;

use crate::error::call_failure;
use crate::reconcile::{ReconcileError, Report, reconcile as compare};
use crate::rpc::{Answer, Gateway};

pub(super) async fn reconcile(
    gateway: &Gateway,
    operator: &str,
    _request: pb::ReconcileRequest,
) -> Answer<pb::ReconcileResponse> {
    let report = compare(gateway.jobs.store(), &gateway.payments).await?;
    tracing::info!(operator, residue_msat = %report.residue_msat, "books compared");
    Ok(to_proto(&report))
}

impl From<ReconcileError> for Failure {
    fn from(error: ReconcileError) -> Self {
        let message = error.to_string();
        match error {
            ReconcileError::Behind => Self::new(ErrorReason::NotSynced, message),
            ReconcileError::Payment(error) => call_failure("payment", error),
            ReconcileError::Store(error) => error.into(),
        }
    }
}

fn to_proto(report: &Report) -> pb::ReconcileResponse {
    let found = &report.findings;
    let rules = [
        ("unbalanced_transactions", found.unbalanced_transactions),
        ("wrong_balances", found.wrong_balances),
        ("wrong_reserved", found.wrong_reserved),
        ("broken_chains", found.broken_chains),
        ("below_limit", found.below_limit),
        ("unbalanced_assets", found.unbalanced_assets),
        ("wrong_suspense", report.ties.wrong_suspense),
        ("reserved_without_a_job", report.ties.reserved_without_a_job),
        ("ended_without_posting", report.ties.ended_without_posting),
        ("payments_without_a_row", i64::try_from(report.journal.unexpected_payments).unwrap_or(i64::MAX)),
    ];
    let finding = |(name, amount): (&str, i64)| pb::Finding { name: name.to_owned(), amount };
    pb::ReconcileResponse {
        findings: rules.into_iter().filter(|(_, count)| *count != 0).map(finding).collect(),
        ledger_lightning_msat: report.ledger_msat,
        journal_taken_msat: i64::try_from(report.received_msat).unwrap_or(i64::MAX),
        cursor: report.journal.cursor,
        explained: report.explained.iter().copied().map(finding).collect(),
        residue_msat: i64::try_from(report.residue_msat).unwrap_or(i64::MAX),
    }
}
