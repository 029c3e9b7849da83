//! Customers.

use ailayer_primitives::{RequestId, UnixMs};
use ailayer_store::{Store, StoreError};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::from_bigint;
use super::ledger;
use super::ledger::accounts::{ListError, Listed, MAX_PAGE, listed};
use crate::domain::ledger::page::PageToken;
use crate::domain::ledger::{Asset, CustomerId};

/// The list's name in page tokens.
const LIST: &str = "customers";

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRecord {
    /// The id, also in the ledger.
    pub id: CustomerId,
    /// What the operator calls it.
    pub name: String,
    /// When it was opened.
    pub created_at: UnixMs,
}

/// Opens an account with its place in the ledger, in one commit, or answers the one that the request has opened. None if the
/// request opened another one. Durable when this returns.
pub async fn create(
    store: &Store,
    request_id: RequestId,
    name: &str,
    limit_msat: i64,
) -> Result<Option<AccountRecord>, StoreError> {
    let mut tx = store.begin().await?;
    let inserted = sqlx::query(
        "insert into accounts (account_id, request_id, name, opened_limit, created_unix_ms)
         values ($1, $2, $3, $4, unix_ms()) on conflict (request_id) do nothing",
    );
    inserted
        .bind(Uuid::now_v7())
        .bind(request_id.uuid())
        .bind(name)
        .bind(limit_msat)
        .execute(&mut *tx)
        .await?;
    let query = "select account_id, name, created_unix_ms, opened_limit from accounts where request_id = $1";
    let row = sqlx::query(query).bind(request_id.uuid()).fetch_one(&mut *tx).await?;
    let account = read(&row)?;
    ledger::accounts::open_customer_in_tx(&mut tx, account.id, Asset::Btc, limit_msat).await?;
    tx.commit().await?;
    let is_same = account.name == name && row.try_get::<i64, _>("opened_limit")? == limit_msat;
    Ok(is_same.then_some(account))
}

/// Looks an account up.
pub async fn by_id(pool: &PgPool, id: CustomerId) -> Result<Option<AccountRecord>, StoreError> {
    let query = "select account_id, name, created_unix_ms from accounts where account_id = $1";
    let row = sqlx::query(query).bind(id.uuid()).fetch_optional(pool).await?;
    row.as_ref().map(read).transpose()
}

/// Accounts by id, which is the order of their opening.
///
/// # Errors
/// `PageToken` when `token` is not of this list.
pub async fn list(
    pool: &PgPool,
    page_size: u32,
    token: Option<&PageToken>,
) -> Result<Listed<AccountRecord>, ListError> {
    let after = token.map(|token| token.open(LIST)).transpose()?;
    let after = after.and_then(|text| Uuid::try_parse(&text).ok()).unwrap_or(Uuid::nil());
    let limit = page_size.clamp(1, MAX_PAGE);
    let rows = sqlx::query(
        "select account_id, name, created_unix_ms from accounts where account_id > $1
         order by account_id limit $2",
    )
    .bind(after)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    let items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(listed(items, limit, |last| PageToken::new(LIST, &last.id.to_string())))
}

fn read(row: &PgRow) -> Result<AccountRecord, StoreError> {
    Ok(AccountRecord {
        id: CustomerId::new(row.try_get("account_id")?),
        name: row.try_get("name")?,
        created_at: UnixMs(from_bigint(row.try_get("created_unix_ms")?, "time of an account")?),
    })
}
