//! What keys and accounts have spent in their present windows. Their rows are locked by [`super::api_keys::lock_limited_in_tx`] and
//! [`super::account_limits::lock_in_tx`], keys first.

use ailayer_primitives::{AmountMsat, UnixMs};
use ailayer_store::{StoreError, Tx};
use uuid::Uuid;

use super::to_bigint;
use crate::domain::api_key::{KeyId, Spent};
use crate::domain::ledger::CustomerId;

macro_rules! write_spent {
    ($table:literal, $id:literal) => {
        concat!(
            "update ",
            $table,
            " set window_started_unix_ms = new.since, window_spent_msat = new.amount
              from unnest($1::uuid[], $2::bigint[], $3::bigint[]) as new (id, since, amount)
              where ",
            $table,
            ".",
            $id,
            " = new.id"
        )
    };
}

/// Writes what keys have spent.
pub async fn write_keys_in_tx(tx: &mut Tx, spent: &[(KeyId, Spent)]) -> Result<(), StoreError> {
    let spent: Vec<(Uuid, Spent)> = spent.iter().map(|(id, spent)| (id.0, *spent)).collect();
    write_in_tx(tx, write_spent!("api_keys", "key_id"), &spent).await
}

/// Writes what accounts have spent.
pub async fn write_accounts_in_tx(tx: &mut Tx, spent: &[(CustomerId, Spent)]) -> Result<(), StoreError> {
    let spent: Vec<(Uuid, Spent)> = spent.iter().map(|(id, spent)| (id.uuid(), *spent)).collect();
    write_in_tx(tx, write_spent!("account_limits", "account_id"), &spent).await
}

async fn write_in_tx(tx: &mut Tx, query: &'static str, spent: &[(Uuid, Spent)]) -> Result<(), StoreError> {
    if spent.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = spent.iter().map(|(id, _)| *id).collect();
    let since: Vec<i64> = spent.iter().map(|(_, spent)| to_bigint(spent.since.0)).collect();
    let amounts: Vec<i64> = spent.iter().map(|(_, spent)| spent.amount.to_i64()).collect();
    sqlx::query(query).bind(ids).bind(since).bind(amounts).execute(&mut **tx).await?;
    Ok(())
}

/// What a job had set aside and did not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unused {
    /// Whose spending it counted against.
    pub key_id: KeyId,
    /// And whose of all keys together.
    pub account: CustomerId,
    /// How much.
    pub amount: AmountMsat,
    /// When the job began.
    pub began_at: UnixMs,
}

/// One statement. Keys come before accounts in it, and both are locked where many change at once.
const GIVE_BACK: &str = "with unused as materialized (
        select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[])
            as unused (key_id, account_id, amount, began_at)),
    keys as (
        update api_keys set window_spent_msat = greatest(0, window_spent_msat - given.amount)
        from (select key_id, sum(unused.amount)::bigint as amount from unused join api_keys using (key_id)
              where spend_limit_msat is not null and window_started_unix_ms <= unused.began_at
              group by key_id) given
        where api_keys.key_id = given.key_id)
    update account_limits set window_spent_msat = greatest(0, window_spent_msat - given.amount)
    from (select account_id, sum(unused.amount)::bigint as amount
          from unused join account_limits using (account_id)
          where spend_limit_msat is not null and window_started_unix_ms <= unused.began_at
          group by account_id) given
    where account_limits.account_id = given.account_id";

/// Gives back to the windows of keys and accounts what jobs have not used, if a job began in the window that still counts. Where
/// there is no limit, nothing is touched.
pub async fn give_back_in_tx(tx: &mut Tx, unused: &[Unused]) -> Result<(), StoreError> {
    if unused.is_empty() {
        return Ok(());
    }
    sqlx::query(GIVE_BACK)
        .bind(unused.iter().map(|it| it.key_id.0).collect::<Vec<_>>())
        .bind(unused.iter().map(|it| it.account.uuid()).collect::<Vec<_>>())
        .bind(unused.iter().map(|it| it.amount.to_i64()).collect::<Vec<_>>())
        .bind(unused.iter().map(|it| to_bigint(it.began_at.0)).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    Ok(())
}
