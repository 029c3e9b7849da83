//! The list of all transactions.
//!
//! Rows become visible out of the order of any number that was given to them before their commit. The order here is that of
//! database transactions, and a reader stops below the oldest one that still runs: what is visible above it will be shown
//! once nothing can come before it any more. A transaction that hangs so delays the list, for as long as the server lets it
//! hang, and nothing is ever skipped.

use ailayer_primitives::{RequestId, UnixMs};
use ailayer_store::StoreError;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::accounts::{ListError, Listed, MAX_PAGE, listed};
use crate::domain::ledger::page::{InvalidPageToken, PageToken};
use crate::domain::ledger::{AccountId, Kind, TransactionId};
use crate::store::{corrupt, from_bigint};

const LIST: &str = "transactions";

/// A transaction without its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Which.
    pub transaction_id: TransactionId,
    /// The account it is about.
    pub account: AccountId,
    /// Whose request it was.
    pub request_id: RequestId,
    /// What kind it was.
    pub kind: Kind,
    /// How much it was about, in the account's asset.
    pub amount_units: i64,
    /// When.
    pub posted_at: UnixMs,
    /// The remark.
    pub note: String,
    order: String,
}

/// One line of a transaction, debit positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedLine {
    /// Which account.
    pub account: AccountId,
    /// How much.
    pub amount_units: i64,
}

/// Transactions in the order in which they became final. None is shown twice or left out, whoever writes meanwhile.
///
/// # Errors
/// `PageToken` when `token` is not of this list.
pub async fn list(
    pool: &PgPool,
    page_size: u32,
    token: Option<&PageToken>,
) -> Result<Listed<Listing>, ListError> {
    let after = token.map(|token| token.open(LIST)).transpose()?;
    let (xact, transaction_id) = match &after {
        Some(after) => position(after)?,
        None => ("0".to_owned(), Uuid::nil()),
    };
    let limit = page_size.clamp(1, MAX_PAGE);
    let rows = sqlx::query(
        "select transaction_id, code, request_id, header.kind, amount_units, posted_unix_ms, note,
            xact::text || '/' || transaction_id
         from ledger_transactions header join ledger_accounts using (account_id)
         where (xact, transaction_id) > ($1::text::xid8, $2) and xact < pg_snapshot_xmin(pg_current_snapshot())
         order by xact, transaction_id limit $3",
    )
    .bind(xact)
    .bind(transaction_id)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let (code, kind): (&str, &str) = (row.try_get(1)?, row.try_get(3)?);
        items.push(Listing {
            transaction_id: TransactionId::new(row.try_get(0)?),
            account: code.parse().map_err(|error| corrupt("account")(&error))?,
            request_id: RequestId::new(row.try_get(2)?),
            kind: kind.parse().map_err(|error| corrupt("kind")(&error))?,
            amount_units: row.try_get(4)?,
            posted_at: UnixMs(from_bigint(row.try_get(5)?, "time of a transaction")?),
            note: row.try_get(6)?,
            order: row.try_get(7)?,
        });
    }
    Ok(listed(items, limit, |last| PageToken::new(LIST, &last.order)))
}

/// `<database transaction>/<transaction id>`.
fn position(text: &str) -> Result<(String, Uuid), InvalidPageToken> {
    let parse = || {
        let (xact, id) = text.split_once('/')?;
        let xact: u64 = xact.parse().ok()?;
        Some((xact.to_string(), Uuid::try_parse(id).ok()?))
    };
    parse().ok_or(InvalidPageToken)
}

/// The lines of a transaction in order; none if there is no such transaction, or if it moved no balance.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn lines(pool: &PgPool, transaction_id: TransactionId) -> Result<Vec<ListedLine>, StoreError> {
    let rows = sqlx::query(
        "select code, amount_units from ledger_lines join ledger_accounts using (account_id)
         where transaction_id = $1 order by line",
    )
    .bind(transaction_id.uuid())
    .fetch_all(pool)
    .await?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in &rows {
        let code: &str = row.try_get(0)?;
        let account = code.parse().map_err(|error| corrupt("account")(&error))?;
        lines.push(ListedLine { account, amount_units: row.try_get(1)? });
    }
    Ok(lines)
}
