//! Keys: their hashes, terms and spending.

use std::time::Duration;

use ailayer_primitives::{AmountMsat, Digest, RequestId, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::ledger::accounts::{ListError, Listed, MAX_PAGE, listed};
use super::record::digest;
use super::{amount, corrupt, from_bigint, to_bigint, unsigned};
use crate::domain::api_key::{AccountLimits, Caller, KeyId, KeyTerms, SpendLimit, Spent};
use crate::domain::ledger::CustomerId;
use crate::domain::ledger::page::PageToken;

/// A key as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Whose it is and what it may do.
    pub caller: Caller,
    /// What it has spent; a window that is over counts for nothing.
    pub spent: Spent,
    /// When it was made.
    pub created_at: UnixMs,
    /// When it was revoked.
    pub revoked_at: Option<UnixMs>,
    /// The database's clock when the row was read.
    pub now: UnixMs,
}

impl KeyRecord {
    /// Neither revoked nor past its end.
    pub fn is_good(&self) -> bool {
        let expired = self.caller.terms.expires_at.is_some_and(|at| self.now >= at);
        self.revoked_at.is_none() && !expired
    }
}

macro_rules! columns {
    () => {
        "key_id, account_id, name, scopes, spend_limit_msat, spend_window_ms, window_started_unix_ms,
         window_spent_msat, requests_per_minute, tokens_per_minute, created_unix_ms, expires_unix_ms,
         revoked_unix_ms, unix_ms() as now_unix_ms"
    };
}

/// Stores a new key. False if the request has made one already, or there is no such account. Durable when this returns.
pub async fn insert(
    pool: &PgPool,
    request_id: RequestId,
    caller: &Caller,
    key_hash: &Digest,
) -> Result<bool, StoreError> {
    let terms = &caller.terms;
    let scopes: Vec<&str> = terms.scopes.iter().map(|scope| scope.as_str()).collect();
    let inserted = sqlx::query(
        "insert into api_keys (key_id, account_id, request_id, key_hash, name, scopes, spend_limit_msat,
            spend_window_ms, requests_per_minute, tokens_per_minute, created_unix_ms, expires_unix_ms)
         select $1, account_id, $3, $4, $5, $6, $7, $8, $9, $10, unix_ms(), $11
         from accounts where account_id = $2
         on conflict (request_id) do nothing",
    )
    .bind(caller.key_id.0)
    .bind(caller.account.uuid())
    .bind(request_id.uuid())
    .bind(key_hash.to_vec())
    .bind(&terms.name)
    .bind(scopes)
    .bind(terms.spend_limit.map(|limit| limit.amount.to_i64()))
    .bind(terms.spend_limit.map(|limit| ms(limit.window)))
    .bind(terms.requests_per_minute.map(|count| i32::try_from(count).unwrap_or(i32::MAX)))
    .bind(terms.tokens_per_minute.map(to_bigint))
    .bind(terms.expires_at.map(|at| to_bigint(at.0)))
    .execute(pool)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Looks keys up by the hashes of their texts.
pub async fn by_hashes(pool: &PgPool, hashes: &[Digest]) -> Result<Vec<(Digest, KeyRecord)>, StoreError> {
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.to_vec()).collect();
    let query =
        sqlx::query(concat!("select key_hash, ", columns!(), " from api_keys where key_hash = any($1)"));
    let rows = query.bind(hashes).fetch_all(pool).await?;
    rows.iter().map(|row| Ok((digest(row, "key_hash")?, read(row)?))).collect()
}

/// Looks a key up.
pub async fn by_id(pool: &PgPool, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
    let query = sqlx::query(concat!("select ", columns!(), " from api_keys where key_id = $1"));
    query.bind(id.0).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// The keys of an account, in the order of their making.
///
/// # Errors
/// `PageToken` when `token` is not of this list.
pub async fn of_account(
    pool: &PgPool,
    account: CustomerId,
    page_size: u32,
    token: Option<&PageToken>,
) -> Result<Listed<KeyRecord>, ListError> {
    let list = format!("keys of {account}");
    let after = token.map(|token| token.open(&list)).transpose()?;
    let after = after.and_then(|text| Uuid::try_parse(&text).ok()).unwrap_or(Uuid::nil());
    let limit = page_size.clamp(1, MAX_PAGE);
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from api_keys where account_id = $1 and key_id > $2 order by key_id limit $3"
    ));
    let rows = query.bind(account.uuid()).bind(after).bind(i64::from(limit)).fetch_all(pool).await?;
    let items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(listed(items, limit, |last| PageToken::new(&list, &last.caller.key_id.0.to_string())))
}

/// Revokes a key; a second time changes nothing. None if there is no such key. Durable when this returns.
pub async fn revoke(pool: &PgPool, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
    let query =
        "update api_keys set revoked_unix_ms = coalesce(revoked_unix_ms, unix_ms()) where key_id = $1";
    sqlx::query(query).bind(id.0).execute(pool).await?;
    by_id(pool, id).await
}

/// A key as it counts for what is about to be spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpendingKey {
    /// The key; locked until the transaction ends if its spending is limited.
    pub record: KeyRecord,
    /// Whether its account's spending is limited.
    pub account_is_limited: bool,
}

/// Reads keys, and locks the rows of those whose spending is limited until the transaction ends, in the order of their ids. What
/// has no limit is not written to, so there is nothing to wait for.
pub async fn lock_limited_in_tx(tx: &mut Tx, ids: &[KeyId]) -> Result<Vec<SpendingKey>, StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let query = sqlx::query(concat!(
        "with limited as (select * from api_keys where key_id = any($1) and spend_limit_msat is not null
            order by key_id for update),
         keys as (select * from limited
            union all select * from api_keys where key_id = any($1) and spend_limit_msat is null)
         select ",
        columns!(),
        ", exists (select from account_limits where account_limits.account_id = keys.account_id
            and account_limits.spend_limit_msat is not null) as account_is_limited from keys"
    ));
    let rows = query.bind(ids).fetch_all(&mut **tx).await?;
    let read = |row: &PgRow| {
        Ok(SpendingKey { record: read(row)?, account_is_limited: row.try_get("account_is_limited")? })
    };
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> Result<KeyRecord, StoreError> {
    let scopes: Vec<String> = row.try_get("scopes")?;
    let scopes = scopes.iter().map(|scope| scope.parse().map_err(|error| corrupt("scopes")(&error)));
    let limit = amount(row, "spend_limit_msat")?.zip(unsigned(row, "spend_window_ms")?);
    let terms = KeyTerms {
        name: row.try_get("name")?,
        scopes: scopes.collect::<Result<_, _>>()?,
        spend_limit: limit.map(|(amount, ms)| SpendLimit { amount, window: Duration::from_millis(ms) }),
        requests_per_minute: row
            .try_get::<Option<i32>, _>("requests_per_minute")?
            .and_then(|count| u32::try_from(count).ok()),
        tokens_per_minute: unsigned(row, "tokens_per_minute")?,
        expires_at: unsigned(row, "expires_unix_ms")?.map(UnixMs),
    };
    let time = |column| Ok::<_, StoreError>(UnixMs(from_bigint(row.try_get(column)?, column)?));
    let key_id = KeyId(row.try_get("key_id")?);
    let account = CustomerId::new(row.try_get("account_id")?);
    Ok(KeyRecord {
        // Rows of their own; whoever lets the caller in reads them.
        caller: Caller { key_id, account, terms, account_limits: AccountLimits::default() },
        spent: Spent {
            since: time("window_started_unix_ms")?,
            amount: amount(row, "window_spent_msat")?.unwrap_or(AmountMsat::ZERO),
        },
        created_at: time("created_unix_ms")?,
        revoked_at: unsigned(row, "revoked_unix_ms")?.map(UnixMs),
        now: time("now_unix_ms")?,
    })
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
