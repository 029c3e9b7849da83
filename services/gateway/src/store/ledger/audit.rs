//! Whether the books add up. Reads whole tables: for operators and tests, not for a request's path.

use ailayer_store::StoreError;
use sqlx::{PgPool, Row as _};

/// One line of a trial balance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialLine {
    /// Place in the chart, such as `revenue:inference`.
    pub kind: String,
    /// The asset.
    pub asset: String,
    /// Debits less credits, over all accounts of that kind. Wider than 63 bits, so as a decimal text.
    pub net_units: i128,
    /// How many accounts.
    pub accounts: i64,
}

/// What is wrong, by number of rows; all zero in a sound ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Findings {
    /// Transactions whose lines do not sum to zero for an asset.
    pub unbalanced_transactions: i64,
    /// Accounts whose balance is not the sum of their lines.
    pub wrong_balances: i64,
    /// Accounts whose reserved amount is not the sum of their pending reservations.
    pub wrong_reserved: i64,
    /// Lines whose balance does not follow from the line before.
    pub broken_chains: i64,
    /// Accounts below their limit.
    pub below_limit: i64,
    /// Assets whose accounts do not sum to zero.
    pub unbalanced_assets: i64,
}

/// Every kind of account with what it holds. The lines of an asset sum to zero.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn trial_balance(pool: &PgPool) -> Result<Vec<TrialLine>, StoreError> {
    let rows = sqlx::query(
        "select kind, asset, sum(balance_units * side::numeric)::text, count(*) from ledger_accounts
         group by asset, kind order by asset, kind",
    )
    .fetch_all(pool)
    .await?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in &rows {
        let net: &str = row.try_get(2)?;
        let net_units =
            net.parse().map_err(|_| StoreError::Corrupt(format!("{net:?} is no sum of balances")))?;
        lines.push(TrialLine {
            kind: row.try_get(0)?,
            asset: row.try_get(1)?,
            net_units,
            accounts: row.try_get(3)?,
        });
    }
    Ok(lines)
}

/// Compares the tables with each other, in one snapshot.
///
/// # Errors
/// `TimedOut` when the ledger is too large for the statement's time limit: run it with a longer one.
pub async fn verify(pool: &PgPool) -> Result<Findings, StoreError> {
    let row = sqlx::query(
        "select
            (select count(*) from (select from ledger_lines join ledger_accounts using (account_id)
                group by transaction_id, asset having sum(amount_units) <> 0) it),
            (select count(*) from ledger_accounts account where balance_units * side::numeric <> coalesce((
                select sum(amount_units) from ledger_lines where account_id = account.account_id), 0)),
            (select count(*) from ledger_accounts account where reserved_units <> coalesce((
                select sum(amount_units) from ledger_reservations
                where account_id = account.account_id and state = 'PENDING'), 0)),
            (select count(*) from (select balance_units - amount_units * side::numeric
                    <> lag(balance_units, 1, 0::bigint) over (partition by account_id order by account_version)
                    as is_broken
                from (select lines.*, side from ledger_lines lines join ledger_accounts using (account_id)) it) it
                where is_broken),
            (select count(*) from ledger_accounts where balance_units - reserved_units < limit_units),
            (select count(*) from (select from ledger_accounts group by asset
                having sum(balance_units * side::numeric) <> 0) it)",
    )
    .fetch_one(pool)
    .await?;
    Ok(Findings {
        unbalanced_transactions: row.try_get(0)?,
        wrong_balances: row.try_get(1)?,
        wrong_reserved: row.try_get(2)?,
        broken_chains: row.try_get(3)?,
        below_limit: row.try_get(4)?,
        unbalanced_assets: row.try_get(5)?,
    })
}
