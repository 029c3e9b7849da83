//! `Reconcile`: the ledger against itself and the payment service's journal.

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::reason;
use crate::error::call_failure;
use crate::reconcile::{ReconcileError, Report, reconcile as compare};
use crate::rpc::{Answer, Gateway};
use crate::store::explained_payments;

pub(super) async fn reconcile(
    gateway: &Gateway,
    operator: &str,
    _request: pb::ReconcileRequest,
) -> Answer<pb::ReconcileResponse> {
    let report = compare(gateway.jobs.store(), &gateway.payments).await?;
    tracing::info!(operator, residue_msat = %report.residue_msat, node_residue_msat = report.funds.residue_msat, "books compared");
    Ok(to_proto(&report))
}

/// An operator has found out about payments without a row. No money moves by it, and the journal keeps them.
pub(super) async fn explain(
    gateway: &Gateway,
    operator: &str,
    request: pb::ExplainPaymentsRequest,
) -> Answer<pb::ExplainPaymentsResponse> {
    let note = reason(request.note)?;
    let journal = gateway.payments.journal().await.map_err(|error| call_failure("payment", error))?;
    if request.payments == 0 || request.payments > journal.unexpected_payments {
        let what = match journal.unexpected_payments {
            0 => "there are none to explain".to_owned(),
            count => format!("must be 1 to {count}, which is how many there are"),
        };
        return Err(Failure::invalid_field("payments", what));
    }
    let pool = gateway.jobs.store().pool();
    explained_payments::add(pool, request.payments, &note, operator).await?;
    tracing::warn!(operator, payments = request.payments, note, "payments without a row were explained");
    Ok(pb::ExplainPaymentsResponse { explained_payments: explained_payments::count(pool).await? })
}

/// An operator has found out about money that nothing explains. The payment service's log names the operator.
pub(super) async fn accept(
    gateway: &Gateway,
    operator: &str,
    request: pb::AcceptNodeResidueRequest,
) -> Answer<pb::AcceptNodeResidueResponse> {
    let (residue_msat, note) = (request.residue_msat, reason(request.note)?);
    let accepted = gateway.payments.accept_funds_residue(residue_msat, format!("{operator}: {note}")).await;
    accepted.map_err(|error| match error.reason() {
        Some(ErrorReason::InvalidField) => {
            let what = format!("a residue of {residue_msat} msat is not what is found now; compare again");
            Failure::invalid_field("residue_msat", what)
        }
        _ => call_failure("payment", error),
    })?;
    tracing::warn!(operator, residue_msat, note, "a residue of the node's channels was accepted");
    Ok(pb::AcceptNodeResidueResponse {})
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
    let unexplained = report.journal.unexpected_payments.saturating_sub(report.explained_payments);
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
        // Two corrections at once can each be within what there is.
        ("lightning_below_zero", i64::from(report.ledger_msat < 0)),
        ("lost_below_zero", i64::from(report.lost_msat < 0)),
        ("payments_without_a_row", i64::try_from(unexplained).unwrap_or(i64::MAX)),
        ("channels_without_a_row", i64::try_from(report.funds.unknown_channels).unwrap_or(i64::MAX)),
    ];
    let finding = |(name, amount): (&str, i64)| pb::Finding { name: name.to_owned(), amount };
    pb::ReconcileResponse {
        findings: rules.into_iter().filter(|(_, count)| *count != 0).map(finding).collect(),
        ledger_lightning_msat: report.ledger_msat,
        journal_taken_msat: i64::try_from(report.received_msat).unwrap_or(i64::MAX),
        cursor: report.journal.cursor,
        explained: report.explained.iter().copied().map(finding).collect(),
        residue_msat: i64::try_from(report.residue_msat).unwrap_or(i64::MAX),
        explained_payments: report.explained_payments,
        lost_with_channels_msat: report.lost_msat,
        node: Some(pb::NodeFunds {
            expected_min_msat: report.funds.expected_min_msat,
            expected_max_msat: report.funds.expected_max_msat,
            held_min_msat: report.funds.node_min_msat,
            held_max_msat: report.funds.node_max_msat,
            residue_msat: report.funds.residue_msat,
            closed_max_msat: report.funds.closed_max_msat,
            settling_sat: report.funds.settling_sat,
            sweeping_sat: report.funds.sweeping_sat,
            forwarding_earned_msat: report.funds.forwarding_earned_msat,
        }),
    }
}
