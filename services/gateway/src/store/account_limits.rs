//! What all keys of an account together may do.

use std::time::Duration;

use ailayer_primitives::{AmountMsat, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::{amount, from_bigint, to_bigint, unsigned};
use crate::domain::api_key::{AccountLimits, SpendLimit, Spent};
use crate::domain::ledger::CustomerId;

/// An account's limits as they are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsRecord {
    /// Whose.
    pub account: CustomerId,
    /// What it may do.
    pub limits: AccountLimits,
    /// What it has spent; a window that is over counts for nothing.
    pub spent: Spent,
    /// The database's clock when the row was read.
    pub now: UnixMs,
}

macro_rules! columns {
    () => {
        "account_id, spend_limit_msat, spend_window_ms, window_started_unix_ms, window_spent_msat,
         requests_per_minute, tokens_per_minute, unix_ms() as now_unix_ms"
    };
}

/// Sets all limits of an account; those that are not named are none. What was spent in the present window still counts. Durable
/// when this returns.
pub async fn set(pool: &PgPool, account: CustomerId, limits: &AccountLimits) -> Result<(), StoreError> {
    sqlx::query(
        "insert into account_limits (account_id, spend_limit_msat, spend_window_ms, requests_per_minute,
            tokens_per_minute) values ($1, $2, $3, $4, $5)
         on conflict (account_id) do update set spend_limit_msat = excluded.spend_limit_msat,
            spend_window_ms = excluded.spend_window_ms, requests_per_minute = excluded.requests_per_minute,
            tokens_per_minute = excluded.tokens_per_minute",
    )
    .bind(account.uuid())
    .bind(limits.spend_limit.map(|limit| limit.amount.to_i64()))
    .bind(limits.spend_limit.map(|limit| i64::try_from(limit.window.as_millis()).unwrap_or(i64::MAX)))
    .bind(limits.requests_per_minute.map(|count| i32::try_from(count).unwrap_or(i32::MAX)))
    .bind(limits.tokens_per_minute.map(to_bigint))
    .execute(pool)
    .await?;
    Ok(())
}

/// The limits of an account, if it has any.
pub async fn of(pool: &PgPool, account: CustomerId) -> Result<Option<LimitsRecord>, StoreError> {
    let query = sqlx::query(concat!("select ", columns!(), " from account_limits where account_id = $1"));
    query.bind(account.uuid()).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// The limits of those of the accounts that have any.
pub async fn of_all(pool: &PgPool, accounts: &[CustomerId]) -> Result<Vec<LimitsRecord>, StoreError> {
    let accounts: Vec<Uuid> = accounts.iter().map(|id| id.uuid()).collect();
    let query =
        sqlx::query(concat!("select ", columns!(), " from account_limits where account_id = any($1)"));
    query.bind(accounts).fetch_all(pool).await?.iter().map(read).collect()
}

/// Reads those limits of accounts that are about spending, and locks their rows until the transaction ends, in the order of
/// their ids.
pub async fn lock_in_tx(tx: &mut Tx, accounts: &[CustomerId]) -> Result<Vec<LimitsRecord>, StoreError> {
    let accounts: Vec<Uuid> = accounts.iter().map(|id| id.uuid()).collect();
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from account_limits where account_id = any($1) and spend_limit_msat is not null
          order by account_id for update"
    ));
    let rows = query.bind(accounts).fetch_all(&mut **tx).await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<LimitsRecord, StoreError> {
    let limit = amount(row, "spend_limit_msat")?.zip(unsigned(row, "spend_window_ms")?);
    let required = |column| from_bigint(row.try_get(column)?, column);
    let requests: Option<i32> = row.try_get("requests_per_minute")?;
    Ok(LimitsRecord {
        account: CustomerId::new(row.try_get("account_id")?),
        limits: AccountLimits {
            spend_limit: limit.map(|(amount, ms)| SpendLimit { amount, window: Duration::from_millis(ms) }),
            requests_per_minute: requests.and_then(|count| u32::try_from(count).ok()),
            tokens_per_minute: unsigned(row, "tokens_per_minute")?,
        },
        spent: Spent {
            since: UnixMs(required("window_started_unix_ms")?),
            amount: amount(row, "window_spent_msat")?.unwrap_or(AmountMsat::ZERO),
        },
        now: UnixMs(required("now_unix_ms")?),
    })
}
