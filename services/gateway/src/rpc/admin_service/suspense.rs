//! The suspense queue: shown, and given to whom it belongs.

use ailayer_primitives::JobId;
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_store::StoreError;

use crate::domain::ledger::{CustomerId, Stripe, Verdict, funding};
use crate::error::AccountError;
use crate::rpc::{Answer, Gateway, convert};
use crate::store::accounts;
use crate::store::ledger::{self, apply_one_in_tx};
use crate::store::suspense::{self, SuspenseItem};

pub(super) async fn list(
    gateway: &Gateway,
    _operator: &str,
    request: pb::ListSuspenseRequest,
) -> Answer<pb::ListSuspenseResponse> {
    let (size, token) = convert::page(request.page_size, &request.page_token)?;
    let listed = suspense::list(gateway.jobs.store().pool(), request.all, size, token.as_ref()).await?;
    Ok(pb::ListSuspenseResponse {
        items: listed.items.iter().map(to_proto).collect(),
        next_page_token: convert::next_page(listed.next.as_ref()),
    })
}

pub(super) async fn resolve(
    gateway: &Gateway,
    operator: &str,
    request: pb::ResolveSuspenseRequest,
) -> Answer<pb::ResolveSuspenseResponse> {
    let (id, account) = (convert::id(&request.item_id), CustomerId::new(convert::id(&request.account_id)));
    let store = gateway.jobs.store();
    accounts::by_id(store.pool(), account).await?.ok_or(AccountError::NoAccount)?;
    let mut tx = ledger::begin(store).await?;
    let item = suspense::lock_in_tx(&mut tx, id).await?.ok_or(AccountError::Nothing("item"))?;
    match item.account {
        Some(given) if given == account => {
            return Ok(pb::ResolveSuspenseResponse { item: Some(to_proto(&item)) });
        }
        Some(_) => return Err(AccountError::RequestIdReused.into()),
        None => {}
    }
    suspense::resolve_in_tx(&mut tx, id, account, operator).await?;
    let operation = funding::from_suspense(account, id, item.amount).map_err(AccountError::from)?;
    // Its own stripe: on the one of the source the suspense account would be the same row for every item of a day.
    match apply_one_in_tx(&mut tx, Stripe::of_job(JobId::new(id)), operation).await? {
        Verdict::Applied(_) | Verdict::Duplicate(_) => {}
        Verdict::Refused(refusal) => return Err(AccountError::Refused(refusal).into()),
    }
    tx.commit().await.map_err(StoreError::from)?;
    tracing::warn!(item_id = %id, account_id = %account, operator, "suspense resolved");
    let item = SuspenseItem { account: Some(account), resolved_by: Some(operator.to_owned()), ..item };
    Ok(pb::ResolveSuspenseResponse { item: Some(to_proto(&item)) })
}

fn to_proto(item: &SuspenseItem) -> pb::SuspenseItem {
    pb::SuspenseItem {
        item_id: item.item_id.to_string(),
        source: item.source.clone(),
        source_id: item.source_id.to_string(),
        amount_msat: item.amount.msat(),
        note: item.note.clone(),
        created_unix_ms: item.created_at.0,
        account_id: item.account.map(|account| account.to_string()).unwrap_or_default(),
        resolved_by: item.resolved_by.clone().unwrap_or_default(),
    }
}
