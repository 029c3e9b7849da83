//! Accounts: opened, listed, frozen.

use ailayer_platform::error::Failure;
use ailayer_primitives::RequestId;
use ailayer_proto::ailayer::gateway::v1 as pb;

use super::keys::spend_limit;
use super::note;
use crate::domain::api_key::{AccountLimits, SpendLimit, TermsError, is_name};
use crate::domain::ledger::{AccountId, Action, Asset, CustomerId, Note, Operation};
use crate::error::AccountError;
use crate::rpc::account_service::account_to_proto;
use crate::rpc::{Answer, Gateway, convert};
use crate::store::{account_limits, accounts};

/// The most credit one operator can give: a tenth of a bitcoin. Typing errors are larger.
const MAX_CREDIT_MSAT: i64 = 10_000_000_000;

pub(super) async fn create(
    gateway: &Gateway,
    operator: &str,
    request: pb::CreateAccountRequest,
) -> Answer<pb::CreateAccountResponse> {
    let request_id = convert::request_id(&request.request_id)?;
    if !is_name(&request.name) {
        return Err(Failure::invalid_field("name", "must be 1 to 128 bytes without control characters"));
    }
    if request.limit_msat > 0 || request.limit_msat < -MAX_CREDIT_MSAT {
        let why = format!("must be 0, or below it to give credit, at most {MAX_CREDIT_MSAT} msat");
        return Err(Failure::invalid_field("limit_msat", why));
    }
    let store = gateway.jobs.store();
    let record = accounts::create(store, request_id, &request.name, request.limit_msat).await?;
    let record = record.ok_or(AccountError::RequestIdReused)?;
    tracing::info!(account_id = %record.id, operator, "account opened");
    Ok(pb::CreateAccountResponse { account: Some(account_to_proto(store.pool(), &record).await?) })
}

pub(super) async fn list(
    gateway: &Gateway,
    _operator: &str,
    request: pb::ListAccountsRequest,
) -> Answer<pb::ListAccountsResponse> {
    let token = convert::page_token(&request.page_token)?;
    let size = convert::page_size(request.page_size)?;
    let pool = gateway.jobs.store().pool();
    let listed = accounts::list(pool, size, token.as_ref()).await?;
    let mut all = Vec::with_capacity(listed.items.len());
    for record in &listed.items {
        all.push(account_to_proto(pool, record).await?);
    }
    Ok(pb::ListAccountsResponse { accounts: all, next_page_token: convert::next_page(listed.next.as_ref()) })
}

pub(super) async fn freeze(
    gateway: &Gateway,
    operator: &str,
    request: pb::FreezeAccountRequest,
) -> Answer<pb::FreezeAccountResponse> {
    let pb::FreezeAccountRequest { request_id, account_id, note } = request;
    let account = mark(gateway, operator, &request_id, &account_id, note, Action::Freeze).await?;
    Ok(pb::FreezeAccountResponse { account: Some(account) })
}

pub(super) async fn unfreeze(
    gateway: &Gateway,
    operator: &str,
    request: pb::UnfreezeAccountRequest,
) -> Answer<pb::UnfreezeAccountResponse> {
    let pb::UnfreezeAccountRequest { request_id, account_id, note } = request;
    let account = mark(gateway, operator, &request_id, &account_id, note, Action::Unfreeze).await?;
    Ok(pb::UnfreezeAccountResponse { account: Some(account) })
}

pub(super) async fn set_limits(
    gateway: &Gateway,
    operator: &str,
    request: pb::SetAccountLimitsRequest,
) -> Answer<pb::SetAccountLimitsResponse> {
    let account = CustomerId::new(convert::id(&request.account_id));
    let limits = limits(request.limits.unwrap_or_default())
        .map_err(|error| Failure::invalid_field("limits", error.to_string()))?;
    let pool = gateway.jobs.store().pool();
    let record = accounts::by_id(pool, account).await?.ok_or(AccountError::NoAccount)?;
    account_limits::set(pool, account, &limits).await?;
    gateway.access.forget_account(account);
    tracing::warn!(account_id = %account, operator, ?limits, "limits of an account set");
    Ok(pb::SetAccountLimitsResponse { account: Some(account_to_proto(pool, &record).await?) })
}

fn limits(limits: pb::AccountLimits) -> Result<AccountLimits, TermsError> {
    let spend_limit = spend_limit(limits.spend_limit_msat, limits.spend_window_s)?;
    spend_limit.map_or(Ok(()), SpendLimit::check)?;
    Ok(AccountLimits {
        spend_limit,
        requests_per_minute: (limits.requests_per_minute != 0).then_some(limits.requests_per_minute),
        tokens_per_minute: (limits.tokens_per_minute != 0).then_some(limits.tokens_per_minute),
    })
}

async fn mark(
    gateway: &Gateway,
    operator: &str,
    request_id: &str,
    account_id: &str,
    why: String,
    action: Action,
) -> Result<pb::Account, Failure> {
    let request_id = convert::request_id(request_id)?;
    let account = CustomerId::new(convert::id(account_id));
    let pool = gateway.jobs.store().pool();
    let record = accounts::by_id(pool, account).await?.ok_or(AccountError::NoAccount)?;
    let why = note(why)?;
    tracing::warn!(account_id = %account, operator, why, ?action, "an account is marked");
    apply(gateway, account, request_id, action, &format!("{operator}: {why}")).await?;
    Ok(account_to_proto(pool, &record).await?)
}

/// Has the ledger do something with an account.
async fn apply(
    gateway: &Gateway,
    account: CustomerId,
    request_id: RequestId,
    action: Action,
    remark: &str,
) -> Result<(), AccountError> {
    let cut: String = remark.chars().take(64).collect();
    let operation = Operation::try_new(AccountId::customer(account, Asset::Btc), request_id, action)?;
    let verdict = gateway.ledger.submit(operation.with_note(Note::try_new(cut)?)).await?;
    verdict.posted().map(drop).map_err(AccountError::Refused)
}
