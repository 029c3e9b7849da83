//! `GetAccount`: the balance, and what the key may still spend.

use ailayer_primitives::AmountMsat;
use ailayer_proto::ailayer::gateway::v1 as pb;

use crate::domain::api_key::{Caller, KeyId};
use crate::domain::ledger::{AccountId, Asset};
use crate::error::AccountError;
use crate::rpc::{Answer, Gateway};
use crate::store::accounts::AccountRecord;
use crate::store::{Pool, accounts, api_keys, ledger};

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
    let balance = ledger::accounts::by_id(pool, id).await?.ok_or(AccountError::NoAccount)?;
    Ok(pb::Account {
        account_id: record.id.to_string(),
        name: record.name.clone(),
        balance_msat: balance.balance_units,
        reserved_msat: balance.reserved_units,
        limit_msat: balance.limit_units.unwrap_or(0),
        frozen: balance.frozen,
        created_unix_ms: record.created_at.0,
    })
}
