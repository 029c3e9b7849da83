//! Money that came and is not known to be anybody's: the queue beside `liability:suspense`.

use ailayer_primitives::{AmountMsat, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::{corrupt, from_bigint};
use crate::domain::ledger::CustomerId;

/// The most items of one list.
pub const MAX_LISTED: i64 = 1000;

/// One item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuspenseItem {
    /// Its id.
    pub item_id: Uuid,
    /// `job` or `deposit`.
    pub source: String,
    /// The job's or deposit's id.
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

/// Queues an item, in the transaction that posts it.
pub async fn insert_in_tx(
    tx: &mut Tx,
    source: &'static str,
    source_id: Uuid,
    amount: AmountMsat,
    note: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into suspense_items (item_id, source, source_id, amount_msat, note, created_unix_ms)
         values ($1, $2, $3, $4, $5, unix_ms())",
    )
    .bind(Uuid::now_v7())
    .bind(source)
    .bind(source_id)
    .bind(amount.to_i64())
    .bind(note)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The items that wait, or all, the oldest first.
pub async fn list(pool: &PgPool, all: bool) -> Result<Vec<SuspenseItem>, StoreError> {
    let query = sqlx::query(concat!(
        "select ",
        columns!(),
        " from suspense_items where $1 or account_id is null order by created_unix_ms, item_id limit $2"
    ));
    query.bind(all).bind(MAX_LISTED).fetch_all(pool).await?.iter().map(read).collect()
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
