//! Accounts: opened once, read at any time.

use ailayer_primitives::UnixMs;
use ailayer_store::{Store, StoreError, Tx};
use sqlx::{PgExecutor, PgPool, Row as _};

use super::locked::account;
use crate::domain::ledger::page::{InvalidPageToken, PageToken};
use crate::domain::ledger::{Account, AccountId, Asset, CustomerId, HouseKind};
use crate::store::{corrupt, from_bigint};

/// The most accounts of one page.
pub const MAX_PAGE: u32 = 1000;

/// Why a list call fails.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The page token is not one of this list.
    #[error(transparent)]
    PageToken(#[from] InvalidPageToken),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for ListError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// Where the list goes on; none at its end.
    pub next: Option<PageToken>,
}

/// An account with its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedAccount {
    /// The name.
    pub id: AccountId,
    /// What it holds.
    pub account: Account,
    /// When it was opened.
    pub opened_at: UnixMs,
}

/// Opens a customer's account and its receivable, with a limit of 0. Opening what is open changes nothing.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn open(store: &Store, customer: CustomerId, asset: Asset) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    open_customer_in_tx(&mut tx, customer, asset, 0).await?;
    Ok(tx.commit().await?)
}

/// As [`open`], in the caller's transaction and with another limit.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn open_customer_in_tx(
    tx: &mut Tx,
    customer: CustomerId,
    asset: Asset,
    limit_units: i64,
) -> Result<(), StoreError> {
    open_in_tx(tx, [AccountId::customer(customer, asset)].into_iter(), Some(limit_units)).await?;
    open_in_tx(tx, [AccountId::receivable(customer, asset)].into_iter(), None).await
}

/// Opens accounts unless they are open. In the order given: let it be the same everywhere.
pub(super) async fn open_in_tx(
    tx: &mut Tx,
    ids: impl Iterator<Item = AccountId>,
    limit_units: Option<i64>,
) -> Result<(), StoreError> {
    for id in ids {
        sqlx::query(
            "insert into ledger_accounts (code, kind, asset, customer_id, side, limit_units, opened_unix_ms,
                updated_unix_ms)
             select $1, $2, $3, $4, $5, $6, now, now from (select unix_ms() as now) clock
             on conflict (code) do nothing",
        )
        .bind(id.to_string())
        .bind(id.kind())
        .bind(id.asset.to_string())
        .bind(id.customer_id().map(CustomerId::uuid))
        .bind(id.side().sign())
        .bind(limit_units)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// An account as it is now; none if it was never opened.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn by_id(pool: &PgPool, id: AccountId) -> Result<Option<Account>, StoreError> {
    let query = sqlx::query(
        "select balance_units, reserved_units, limit_units, frozen, version, updated_unix_ms
         from ledger_accounts where code = $1",
    );
    let row = query.bind(id.to_string()).fetch_optional(pool).await?;
    row.map(|row| account(&row, 0)).transpose()
}

/// What one of our own accounts holds on all its sub-accounts, on its own side.
///
/// # Errors
/// `Database` when it is more than 63 bits.
pub async fn house_balance(pool: &PgPool, kind: HouseKind, asset: Asset) -> Result<i64, StoreError> {
    house_balances(pool, [kind], asset).await.map(|[balance]| balance)
}

/// The same of several, as of one moment.
///
/// # Errors
/// As [`house_balance`].
pub async fn house_balances<const N: usize>(
    database: impl PgExecutor<'_>,
    kinds: [HouseKind; N],
    asset: Asset,
) -> Result<[i64; N], StoreError> {
    let rows = sqlx::query(
        "select kind, sum(balance_units)::bigint from ledger_accounts where kind = any($1) and asset = $2 group by kind",
    )
    .bind(kinds.map(HouseKind::as_str).as_slice())
    .bind(asset.to_string())
    .fetch_all(database)
    .await?;
    // One that nothing was ever posted to has no row.
    let mut balances = [0; N];
    for row in &rows {
        let kind: &str = row.try_get(0)?;
        if let Some(at) = kinds.iter().position(|wanted| wanted.as_str() == kind)
            && let Some(balance) = balances.get_mut(at)
        {
            *balance = row.try_get(1)?;
        }
    }
    Ok(balances)
}

/// Accounts by their names, those of one customer or all. New ones may appear between pages, none is shown twice or left
/// out.
///
/// # Errors
/// `PageToken` when `token` is not of this list.
pub async fn list(
    pool: &PgPool,
    customer: Option<CustomerId>,
    page_size: u32,
    token: Option<&PageToken>,
) -> Result<Listed<NamedAccount>, ListError> {
    let list = customer.map_or_else(|| "accounts".to_owned(), |customer| format!("accounts of {customer}"));
    let after = token.map(|token| token.open(&list)).transpose()?.unwrap_or_default();
    let limit = page_size.clamp(1, MAX_PAGE);
    let rows = sqlx::query(
        "select code, balance_units, reserved_units, limit_units, frozen, version, updated_unix_ms, opened_unix_ms
         from ledger_accounts where code > $1 and ($2::uuid is null or customer_id = $2)
         order by code limit $3",
    )
    .bind(&after)
    .bind(customer.map(CustomerId::uuid))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let code: &str = row.try_get(0)?;
        items.push(NamedAccount {
            id: code.parse().map_err(|error| corrupt("account")(&error))?,
            account: account(row, 1)?,
            opened_at: UnixMs(from_bigint(row.try_get(7)?, "time of an account")?),
        });
    }
    Ok(listed(items, limit, |last| PageToken::new(&list, &last.id.to_string())))
}

/// A page that is full has another one behind it, perhaps an empty one.
pub(in crate::store) fn listed<T>(items: Vec<T>, limit: u32, token: impl Fn(&T) -> PageToken) -> Listed<T> {
    let is_full = u32::try_from(items.len()).is_ok_and(|length| length >= limit);
    let next = items.last().filter(|_| is_full).map(token);
    Listed { items, next }
}
