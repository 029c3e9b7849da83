//! Corrections of the books: proposed by one operator, approved and applied by another.

use ailayer_platform::error::Failure;
use ailayer_primitives::JobId;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_store::StoreError;

use super::reason;
use crate::domain::ledger::correction::{Subject, correction};
use crate::domain::ledger::{Amount, Asset, CustomerId, HouseKind, Note, Operation, Stripe, Verdict};
use crate::error::AccountError;
use crate::rpc::{Answer, Gateway, convert};
use crate::store::adjustments::{self, AdjustmentRecord};
use crate::store::ledger::{self, apply_one_in_tx};
use crate::telemetry;

pub(super) async fn propose(
    gateway: &Gateway,
    operator: &str,
    request: pb::ProposeAdjustmentRequest,
) -> Answer<pb::ProposeAdjustmentResponse> {
    let request_id = convert::request_id(&request.request_id)?;
    let subject = subject(&request)?;
    let note = reason(request.note)?;
    let units = i64::try_from(request.amount_msat.unsigned_abs()).ok();
    if units.is_none_or(|units| Amount::try_new(units).is_err()) {
        return Err(Failure::invalid_field(
            "amount_msat",
            "must not be 0, and at most all bitcoin either way",
        ));
    }
    let pool = gateway.jobs.store().pool();
    let amount = request.amount_msat;
    let found = adjustments::propose(pool, request_id, subject, amount, &note, operator).await?;
    let record = found.ok_or(AccountError::NoAccount)?;
    if (record.subject, record.amount_msat, &record.note) != (subject, amount, &note) {
        return Err(AccountError::RequestIdReused.into());
    }
    telemetry::adjustment_proposed(record.id, subject, amount, operator);
    Ok(pb::ProposeAdjustmentResponse { adjustment: Some(to_proto(&record)) })
}

pub(super) async fn approve(
    gateway: &Gateway,
    operator: &str,
    request: pb::ApproveAdjustmentRequest,
) -> Answer<pb::ApproveAdjustmentResponse> {
    let id = convert::id(&request.adjustment_id);
    let store = gateway.jobs.store();
    let mut tx = ledger::begin(store).await?;
    let record = adjustments::lock_in_tx(&mut tx, id).await?.ok_or(AccountError::Nothing("correction"))?;
    if record.applied_at.is_some() {
        return Ok(pb::ApproveAdjustmentResponse { adjustment: Some(to_proto(&record)) });
    }
    if record.proposed_by == operator {
        return Err(AccountError::SameOperator.into());
    }
    adjustments::applied_in_tx(&mut tx, id, operator).await?;
    let stripe = Stripe::of_job(JobId::new(id));
    match apply_one_in_tx(&mut tx, stripe, operation(&record)?).await? {
        Verdict::Applied(_) | Verdict::Duplicate(_) => {}
        Verdict::Refused(refusal) => return Err(AccountError::Refused(refusal).into()),
    }
    if record.subject == Subject::ChannelLoss {
        // No more is lost than was taken, and no more comes back than was lost: `reconcile` could not tell.
        let kinds = [HouseKind::Lightning, HouseKind::ChannelLoss];
        let left = ledger::accounts::house_balances(&mut *tx, kinds, Asset::Btc).await?;
        if left.into_iter().any(i64::is_negative) {
            return Err(AccountError::BeyondWhatWasTaken.into());
        }
    }
    tx.commit().await.map_err(StoreError::from)?;
    telemetry::adjustment_applied(id, record.subject, record.amount_msat, operator);
    let record = adjustments::by_id(store.pool(), id).await?.ok_or(AccountError::Nothing("correction"))?;
    Ok(pb::ApproveAdjustmentResponse { adjustment: Some(to_proto(&record)) })
}

pub(super) async fn list(
    gateway: &Gateway,
    _operator: &str,
    request: pb::ListAdjustmentsRequest,
) -> Answer<pb::ListAdjustmentsResponse> {
    let (size, token) = convert::page(request.page_size, &request.page_token)?;
    let listed = adjustments::list(gateway.jobs.store().pool(), size, token.as_ref()).await?;
    Ok(pb::ListAdjustmentsResponse {
        adjustments: listed.items.iter().map(to_proto).collect(),
        next_page_token: convert::next_page(listed.next.as_ref()),
    })
}

fn subject(request: &pb::ProposeAdjustmentRequest) -> Answer<Subject> {
    match pb::AdjustmentSubject::try_from(request.subject) {
        Ok(pb::AdjustmentSubject::Unspecified) => {
            Ok(Subject::Customer(CustomerId::new(convert::id(&request.account_id))))
        }
        Ok(pb::AdjustmentSubject::ChannelLoss) if request.account_id.is_empty() => Ok(Subject::ChannelLoss),
        Ok(pb::AdjustmentSubject::ChannelLoss) => Err(Failure::invalid_field(
            "account_id",
            "must be empty: what a channel has lost is no customer's",
        )),
        Err(_) => Err(Failure::invalid_field("subject", "is not known here")),
    }
}

fn operation(record: &AdjustmentRecord) -> Result<Operation, AccountError> {
    let note = Note::try_new(record.note.clone())?;
    Ok(correction(record.id, record.subject, record.amount_msat, note)?)
}

fn to_proto(record: &AdjustmentRecord) -> pb::Adjustment {
    pb::Adjustment {
        adjustment_id: record.id.to_string(),
        account_id: record.subject.customer().map_or_else(String::new, |customer| customer.to_string()),
        amount_msat: record.amount_msat,
        note: record.note.clone(),
        proposed_by: record.proposed_by.clone(),
        approved_by: record.approved_by.clone().unwrap_or_default(),
        proposed_unix_ms: record.proposed_at.0,
        applied_unix_ms: record.applied_at.map_or(0, |at| at.0),
        subject: match record.subject {
            Subject::Customer(_) => pb::AdjustmentSubject::Unspecified,
            Subject::ChannelLoss => pb::AdjustmentSubject::ChannelLoss,
        }
        .into(),
    }
}
