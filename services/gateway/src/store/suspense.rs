//! Money that came and is not known to be anybody's: the queue beside `liability:suspense`.

use ailayer_primitives::{AmountMsat, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::ledger::accounts::{ListError, Listed, MAX_PAGE, listed};
use super::{corrupt, from_bigint};
use crate::domain::ledger::CustomerId;
use crate::domain::ledger::page::PageToken;
use crate::telemetry;

/// The list's name in page tokens.
const LIST: &str = "suspense";

/// What an item came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A job that was paid beyond its price.
    Job,
    /// A deposit that was paid beyond its amount, or after its end.
    Deposit,
    /// An event of the payment service about money that it knows no row for.
    Receipt,
}

impl Source {
    /// The word in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Deposit => "deposit",
            Self::Receipt => "receipt",
        }
    }
}

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspenseItem {
    /// Its id.
    pub item_id: Uuid,
    /// [`Source`] as a word.
    pub source: String,
    /// The job's, deposit's or event's id.
    pub source_id: Uuid,
    /// How much.
    pub amount: AmountMsat,
    /// Why it is here.
    pub note: String,
    /// When it came.
    pub created_at: UnixMs,
    /// Whom it was given to.
    pub account: Option<CustomerId>,
    /// Who gave it.
    pub resolved_by: Option<String>,
}

macro_rules! columns {
    () => {
        "item_id, source, source_id, amount_msat, note, created_unix_ms, account_id, resolved_by"
    };
}

/// Queues an item, in the transaction that posts it. Said aloud: somebody has to look at it.
pub async fn insert_in_tx(
    tx: &mut Tx,
    source: Source,
    source_id: Uuid,
    amount: AmountMsat,
    note: &str,
) -> Result<(), StoreError> {
    telemetry::suspense(source.as_str(), source_id, amount, note);
    sqlx::query(
        "insert into suspense_items (item_id, source, source_id, amount_msat, note, created_unix_ms)
         values ($1, $2, $3, $4, $5, unix_ms())",
    )
    .bind(Uuid::now_v7())
    .bind(source.as_str())
    .bind(source_id)
    .bind(amount.to_i64())
    .bind(note)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The items that wait, or all, the oldest first.
///
/// # Errors
/// `PageToken` when `token` is not of this list.
pub async fn list(
    pool: &PgPool,
    all: bool,
    page_size: u32,
    token: Option<&PageToken>,
) -> Result<Listed<SuspenseItem>, ListError> {
    let after = token.map(|token| token.open(LIST)).transpose()?;
    let after = after.and_then(|text| Uuid::try_parse(&text).ok()).unwrap_or(Uuid::nil());
    let limit = page_size.clamp(1, MAX_PAGE);
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from suspense_items where ($1 or account_id is null) and item_id > $2 order by item_id limit $3"
    ));
    let rows = query.bind(all).bind(after).bind(i64::from(limit)).fetch_all(pool).await?;
    let items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(listed(items, limit, |last| PageToken::new(LIST, &last.item_id.to_string())))
}

/// Looks an item up and locks its row until the transaction ends.
pub async fn lock_in_tx(tx: &mut Tx, item_id: Uuid) -> Result<Option<SuspenseItem>, StoreError> {
    let query =
        sqlx::query(concat!("select ", columns!(), " from suspense_items where item_id = $1 for update"));
    query.bind(item_id).fetch_optional(&mut **tx).await?.as_ref().map(read).transpose()
}

/// Says whom a locked item was given to.
pub async fn resolve_in_tx(
    tx: &mut Tx,
    item_id: Uuid,
    account: CustomerId,
    operator: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "update suspense_items set account_id = $2, resolved_by = $3, resolved_unix_ms = unix_ms()
         where item_id = $1",
    )
    .bind(item_id)
    .bind(account.uuid())
    .bind(operator)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn read(row: &PgRow) -> Result<SuspenseItem, StoreError> {
    let amount = AmountMsat::try_from_i64(row.try_get("amount_msat")?);
    let account: Option<Uuid> = row.try_get("account_id")?;
    Ok(SuspenseItem {
        item_id: row.try_get("item_id")?,
        source: row.try_get("source")?,
        source_id: row.try_get("source_id")?,
        amount: amount.map_err(|error| corrupt("amount")(&error))?,
        note: row.try_get("note")?,
        created_at: UnixMs(from_bigint(row.try_get("created_unix_ms")?, "time of an item")?),
        account: account.map(CustomerId::new),
        resolved_by: row.try_get("resolved_by")?,
    })
}
