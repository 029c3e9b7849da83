//! API keys: made once, listed, revoked.

use std::time::Duration;

use ailayer_platform::error::Failure;
use ailayer_primitives::{AmountMsat, UnixMs};
use ailayer_proto::ailayer::gateway::v1 as pb;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::domain::api_key::{
    AccountLimits, Caller, KeyId, KeyTerms, KeyText, Scope, SpendLimit, TermsError, hash,
};
use crate::domain::ledger::CustomerId;
use crate::error::AccountError;
use crate::rpc::{Answer, Gateway, convert};
use crate::store::accounts;
use crate::store::api_keys::{self, KeyRecord};

pub(super) async fn create(
    gateway: &Gateway,
    operator: &str,
    request: pb::CreateApiKeyRequest,
) -> Answer<pb::CreateApiKeyResponse> {
    let request_id = convert::request_id(&request.request_id)?;
    let account = CustomerId::new(convert::id(&request.account_id));
    let terms = terms(request.terms.unwrap_or_default())
        .map_err(|error| Failure::invalid_field("terms", error.to_string()))?;
    let pool = gateway.jobs.store().pool();
    accounts::by_id(pool, account).await?.ok_or(AccountError::NoAccount)?;
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut_slice()).map_err(|_| AccountError::Random)?;
    let text = KeyText::new(&secret);
    let key_id = KeyId(Uuid::now_v7());
    let caller = Caller { key_id, account, terms, account_limits: AccountLimits::default() };
    if !api_keys::insert(pool, request_id, &caller, &hash(text.expose())).await? {
        return Err(AccountError::RequestIdReused.into());
    }
    tracing::info!(account_id = %account, key_id = %caller.key_id, operator, "API key made");
    let record = api_keys::by_id(pool, caller.key_id).await?.ok_or(AccountError::NoKey)?;
    Ok(pb::CreateApiKeyResponse { key: Some(key(&record)), secret: text.expose().to_owned() })
}

pub(super) async fn list(
    gateway: &Gateway,
    _operator: &str,
    request: pb::ListApiKeysRequest,
) -> Answer<pb::ListApiKeysResponse> {
    let account = CustomerId::new(convert::id(&request.account_id));
    let pool = gateway.jobs.store().pool();
    accounts::by_id(pool, account).await?.ok_or(AccountError::NoAccount)?;
    let (size, token) = convert::page(request.page_size, &request.page_token)?;
    let listed = api_keys::of_account(pool, account, size, token.as_ref()).await?;
    Ok(pb::ListApiKeysResponse {
        keys: listed.items.iter().map(key).collect(),
        next_page_token: convert::next_page(listed.next.as_ref()),
    })
}

pub(super) async fn revoke(
    gateway: &Gateway,
    operator: &str,
    request: pb::RevokeApiKeyRequest,
) -> Answer<pb::RevokeApiKeyResponse> {
    let id = KeyId(convert::id(&request.key_id));
    let record = api_keys::revoke(gateway.jobs.store().pool(), id).await?.ok_or(AccountError::NoKey)?;
    gateway.access.forget(id);
    tracing::warn!(key_id = %id, operator, "API key revoked");
    Ok(pb::RevokeApiKeyResponse { key: Some(key(&record)) })
}

fn terms(terms: pb::KeyTerms) -> Result<KeyTerms, TermsError> {
    let scopes = terms.scopes.iter().map(|word| word.parse::<Scope>()).collect::<Result<_, _>>()?;
    let spend_limit = spend_limit(terms.spend_limit_msat, terms.spend_window_s)?;
    let set = |number: u64| (number != 0).then_some(number);
    KeyTerms {
        name: terms.name,
        scopes,
        spend_limit,
        requests_per_minute: (terms.requests_per_minute != 0).then_some(terms.requests_per_minute),
        tokens_per_minute: set(terms.tokens_per_minute),
        expires_at: set(terms.expires_unix_ms).map(UnixMs),
    }
    .check()
}

/// Zeros stand for no limit.
pub(super) fn spend_limit(msat: u64, window_s: u64) -> Result<Option<SpendLimit>, TermsError> {
    match (msat, window_s) {
        (0, 0) => Ok(None),
        (0, _) | (_, 0) => Err(TermsError::Window),
        (msat, seconds) => Ok(Some(SpendLimit {
            amount: AmountMsat::try_new(msat).map_err(|_| TermsError::Window)?,
            window: Duration::from_secs(seconds),
        })),
    }
}

fn key(record: &KeyRecord) -> pb::ApiKey {
    let terms = &record.caller.terms;
    let limit = terms.spend_limit.as_ref();
    pb::ApiKey {
        key_id: record.caller.key_id.to_string(),
        account_id: record.caller.account.to_string(),
        terms: Some(pb::KeyTerms {
            name: terms.name.clone(),
            scopes: terms.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            spend_limit_msat: limit.map_or(0, |limit| limit.amount.msat()),
            spend_window_s: limit.map_or(0, |limit| limit.window.as_secs()),
            requests_per_minute: terms.requests_per_minute.unwrap_or(0),
            tokens_per_minute: terms.tokens_per_minute.unwrap_or(0),
            expires_unix_ms: terms.expires_at.map_or(0, |at| at.0),
        }),
        spent_msat: limit.map_or(0, |limit| record.spent.at(limit, record.now).amount.msat()),
        created_unix_ms: record.created_at.0,
        revoked_unix_ms: record.revoked_at.map_or(0, |at| at.0),
    }
}
