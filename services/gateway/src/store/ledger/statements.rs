//! The lines of one account, in the order in which they were posted.
//!
//! The order is the account's version, which is given under the account's lock: a line that is not visible yet can only come
//! behind all that are. Pages are therefore stable while others write.

use ailayer_primitives::{RequestId, UnixMs};
use ailayer_store::StoreError;
use futures::Stream;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sqlx::{PgPool, Row as _};

use super::accounts::{ListError, Listed, MAX_PAGE, listed};
use crate::domain::ledger::export::{Format, Statement, StatementLine};
use crate::domain::ledger::page::PageToken;
use crate::domain::ledger::{AccountId, TransactionId};
use crate::store::{corrupt, from_bigint, to_bigint};

/// The times a statement covers: from the first, before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first instant in it.
    pub from: UnixMs,
    /// The first instant behind it.
    pub until: UnixMs,
}

impl Period {
    /// All times.
    pub const ALL: Self = Self { from: UnixMs(0), until: UnixMs(u64::MAX) };
}

/// Opening and closing balance of a period, and how many lines lie between. None if the account was never opened.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn statement(
    pool: &PgPool,
    account: AccountId,
    period: Period,
) -> Result<Option<Statement>, StoreError> {
    let row = sqlx::query(
        "with account as (select account_id from ledger_accounts where code = $1),
            bounds as (select account_id, ledger_version_at(account_id, $2) as first,
                ledger_version_at(account_id, $3) as beyond from account)
         select coalesce((select balance_units from ledger_lines lines where lines.account_id = bounds.account_id
                and account_version < first order by account_version desc limit 1), 0),
            coalesce((select balance_units from ledger_lines lines where lines.account_id = bounds.account_id
                and account_version < beyond order by account_version desc limit 1), 0)
         from bounds",
    )
    .bind(account.to_string())
    .bind(to_bigint(period.from.0))
    .bind(to_bigint(period.until.0))
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Statement { account, opening_units: row.try_get(0)?, closing_units: row.try_get(1)? }))
}

/// The lines of a period, page by page.
///
/// # Errors
/// `PageToken` when `token` is of another account or period.
pub async fn lines(
    pool: &PgPool,
    account: AccountId,
    period: Period,
    page_size: u32,
    token: Option<&PageToken>,
) -> Result<Listed<StatementLine>, ListError> {
    let list = format!("lines of {account} from {} until {}", period.from.0, period.until.0);
    let after = match token {
        Some(token) => token.open_number(&list)?,
        None => 0,
    };
    let limit = page_size.clamp(1, MAX_PAGE);
    let rows = sqlx::query(
        "with account as materialized (select account_id, side from ledger_accounts where code = $1),
            bounds as materialized (select account_id, side,
                greatest(ledger_version_at(account_id, $2), $4::bigint + 1) as first,
                ledger_version_at(account_id, $3) as beyond from account)
         select account_version, lines.posted_unix_ms, lines.transaction_id, kind, request_id,
            lines.amount_units * side, lines.balance_units, note
         from bounds cross join lateral (
            select * from ledger_lines where ledger_lines.account_id = bounds.account_id
                and account_version >= first and account_version < beyond
            order by account_version limit $5) lines
         join ledger_transactions using (transaction_id)
         order by account_version",
    )
    .bind(account.to_string())
    .bind(to_bigint(period.from.0))
    .bind(to_bigint(period.until.0))
    .bind(to_bigint(after))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        let kind: &str = row.try_get(3)?;
        items.push(StatementLine {
            version: from_bigint(row.try_get(0)?, "version of a line")?,
            posted_at: UnixMs(from_bigint(row.try_get(1)?, "time of a line")?),
            transaction_id: TransactionId::new(row.try_get(2)?),
            kind: kind.parse().map_err(|error| corrupt("kind")(&error))?,
            request_id: RequestId::new(row.try_get(4)?),
            change_units: row.try_get(5)?,
            balance_units: row.try_get(6)?,
            note: row.try_get(7)?,
        });
    }
    Ok(listed(items, limit, |last| PageToken::new(&list, &last.version.to_string())))
}

/// The lines of a period as text, one chunk a page: a page is all that is ever in memory.
pub fn export(
    pool: PgPool,
    account: AccountId,
    period: Period,
    format: Format,
) -> impl Stream<Item = Result<String, ListError>> {
    let pages = stream::try_unfold(Some(None::<PageToken>), move |token| {
        let pool = pool.clone();
        async move {
            let Some(token) = token else { return Ok(None) };
            let page = lines(&pool, account, period, MAX_PAGE, token.as_ref()).await?;
            let text: String = page.items.iter().map(|line| format.line(account, line)).collect();
            Ok::<_, ListError>(Some((text, page.next.map(Some))))
        }
    });
    let head = stream::iter([Ok(format.head().to_owned())]);
    head.chain(pages).try_filter(|text| std::future::ready(!text.is_empty()))
}
