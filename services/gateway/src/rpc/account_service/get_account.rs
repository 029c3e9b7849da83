//! `GetAccount`: the balance, and what the key may still spend.

use ailayer_primitives::AmountMsat;
use ailayer_proto::ailayer::gateway::v1 as pb;

use crate::domain::api_key::{AccountLimits, Caller, KeyId};
use crate::domain::ledger::{AccountId, Asset};
use crate::error::AccountError;
use crate::rpc::{Answer, Gateway};
use crate::store::accounts::AccountRecord;
use crate::store::{Pool, account_limits, accounts, api_keys, ledger};

pub(super) async fn get_account(gateway: &Gateway, caller: &Caller) -> Answer<pb::GetAccountResponse> {
    let pool = gateway.jobs.store().pool();
    let record = accounts::by_id(pool, caller.account).await?.ok_or(AccountError::NoAccount)?;
    Ok(pb::GetAccountResponse {
        account: Some(account(pool, &record).await?),
        key_left_msat: left(pool, caller.key_id).await?.map(AmountMsat::msat),
    })
}

async fn left(pool: &Pool, key_id: KeyId) -> Result<Option<AmountMsat>, AccountError> {
    let Some(key) = api_keys::by_id(pool, key_id).await? else { return Ok(None) };
    let limit = key.caller.terms.spend_limit;
    Ok(limit.map(|limit| key.spent.left(&limit, key.now)))
}

/// An account with its balance.
pub(in crate::rpc) async fn account(
    pool: &Pool,
    record: &AccountRecord,
) -> Result<pb::Account, AccountError> {
    let id = AccountId::customer(record.id, Asset::Btc);
    let limits = account_limits::of(pool, record.id).await?;
    let spent = limits.and_then(|it| Some(it.spent.at(&it.limits.spend_limit?, it.now).amount.msat()));
    let balance = ledger::accounts::by_id(pool, id).await?.ok_or(AccountError::NoAccount)?;
    Ok(pb::Account {
        account_id: record.id.to_string(),
        name: record.name.clone(),
        balance_msat: balance.balance_units,
        reserved_msat: balance.reserved_units,
        limit_msat: balance.limit_units.unwrap_or(0),
        frozen: balance.frozen,
        created_unix_ms: record.created_at.0,
        limits: limits.map(|it| it.limits).filter(|it| *it != AccountLimits::default()).map(limits_to_proto),
        spent_msat: spent.unwrap_or(0),
    })
}

fn limits_to_proto(limits: AccountLimits) -> pb::AccountLimits {
    pb::AccountLimits {
        spend_limit_msat: limits.spend_limit.map_or(0, |limit| limit.amount.msat()),
        spend_window_s: limits.spend_limit.map_or(0, |limit| limit.window.as_secs()),
        requests_per_minute: limits.requests_per_minute.unwrap_or(0),
        tokens_per_minute: limits.tokens_per_minute.unwrap_or(0),
    }
}
