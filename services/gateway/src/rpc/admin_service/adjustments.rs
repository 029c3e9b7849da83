//! Corrections of a balance: proposed by one operator, approved and applied by another.

use ailayer_platform::error::Failure;
use ailayer_primitives::{JobId, RequestId};
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_store::StoreError;

use super::reason;
use crate::domain::ledger::{
    AccountId, Action, Amount, Asset, CustomerId, Direction, HouseKind, Note, Operation, Stripe, Verdict,
};
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
    let account = CustomerId::new(convert::id(&request.account_id));
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
    let found = adjustments::propose(pool, request_id, account, amount, &note, operator).await?;
    let record = found.ok_or(AccountError::NoAccount)?;
    if (record.account, record.amount_msat, &record.note) != (account, amount, &note) {
        return Err(AccountError::RequestIdReused.into());
    }
    telemetry::adjustment_proposed(record.id, account, amount, operator);
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
    tx.commit().await.map_err(StoreError::from)?;
    telemetry::adjustment_applied(id, record.amount_msat, operator);
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

/// A balance that grows is our expense, one that shrinks our gain: both against the write-offs.
fn operation(record: &AdjustmentRecord) -> Result<Operation, AccountError> {
    let direction = if record.amount_msat > 0 { Direction::Credit } else { Direction::Debit };
    let units = i64::try_from(record.amount_msat.unsigned_abs()).unwrap_or(i64::MAX);
    let amount = Amount::try_new(units).map_err(crate::domain::ledger::sale::SaleError::Amount)?;
    let action = Action::Adjust { direction, amount, against: HouseKind::WriteOff };
    let account = AccountId::customer(record.account, Asset::Btc);
    let operation = Operation::try_new(account, RequestId::new(record.id), action)?;
    Ok(operation.with_note(Note::try_new(record.note.clone())?))
}

fn to_proto(record: &AdjustmentRecord) -> pb::Adjustment {
    pb::Adjustment {
        adjustment_id: record.id.to_string(),
        account_id: record.account.to_string(),
        amount_msat: record.amount_msat,
        note: record.note.clone(),
        proposed_by: record.proposed_by.clone(),
        approved_by: record.approved_by.clone().unwrap_or_default(),
        proposed_unix_ms: record.proposed_at.0,
        applied_unix_ms: record.applied_at.map_or(0, |at| at.0),
    }
}
