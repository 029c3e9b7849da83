//! Corrections of the books: proposed by one operator, approved by another.

use ailayer_primitives::{RequestId, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::from_bigint;
use super::ledger::accounts::{ListError, Listed, MAX_PAGE, listed};
use crate::domain::ledger::CustomerId;
use crate::domain::ledger::correction::Subject;
use crate::domain::ledger::page::PageToken;

/// The list's name in page tokens.
const LIST: &str = "corrections";

/// One correction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdjustmentRecord {
    /// Its id, also the ledger's request id.
    pub id: Uuid,
    /// What it is of.
    pub subject: Subject,
    /// By how much that grows, millisatoshi.
    pub amount_msat: i64,
    /// Why.
    pub note: String,
    /// Who proposed it.
    pub proposed_by: String,
    /// Who approved it.
    pub approved_by: Option<String>,
    /// When it was proposed.
    pub proposed_at: UnixMs,
    /// When it was applied.
    pub applied_at: Option<UnixMs>,
}

macro_rules! columns {
    () => {
        "adjustment_id, subject, account_id, amount_msat, note, proposed_by, approved_by, proposed_unix_ms, applied_unix_ms"
    };
}

/// Stores a proposal, or answers the one that the request has made. None if there is no such account. Durable when this
/// returns.
pub async fn propose(
    pool: &PgPool,
    request_id: RequestId,
    subject: Subject,
    amount_msat: i64,
    note: &str,
    operator: &str,
) -> Result<Option<AdjustmentRecord>, StoreError> {
    sqlx::query(
        "insert into adjustments (adjustment_id, request_id, subject, account_id, amount_msat, note, proposed_by,
            proposed_unix_ms)
         select $1, $2, $7, $3::uuid, $4, $5, $6, unix_ms()
         where $3::uuid is null or exists (select from accounts where account_id = $3::uuid)
         on conflict (request_id) do nothing",
    )
    .bind(Uuid::now_v7())
    .bind(request_id.uuid())
    .bind(subject.customer().map(CustomerId::uuid))
    .bind(amount_msat)
    .bind(note)
    .bind(operator)
    .bind(subject.as_str())
    .execute(pool)
    .await?;
    let query = concat!("select ", columns!(), " from adjustments where request_id = $1");
    sqlx::query(query).bind(request_id.uuid()).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// Looks a correction up and locks its row until the transaction ends.
pub async fn lock_in_tx(tx: &mut Tx, id: Uuid) -> Result<Option<AdjustmentRecord>, StoreError> {
    let query = concat!("select ", columns!(), " from adjustments where adjustment_id = $1 for update");
    sqlx::query(query).bind(id).fetch_optional(&mut **tx).await?.as_ref().map(read).transpose()
}

/// Says that a locked correction was approved and applied.
pub async fn applied_in_tx(tx: &mut Tx, id: Uuid, operator: &str) -> Result<(), StoreError> {
    sqlx::query(
        "update adjustments set approved_by = $2, applied_unix_ms = unix_ms() where adjustment_id = $1",
    )
    .bind(id)
    .bind(operator)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Looks a correction up.
pub async fn by_id(pool: &PgPool, id: Uuid) -> Result<Option<AdjustmentRecord>, StoreError> {
    let query = concat!("select ", columns!(), " from adjustments where adjustment_id = $1");
    sqlx::query(query).bind(id).fetch_optional(pool).await?.as_ref().map(read).transpose()
}

/// All corrections, the newest first.
///
/// # Errors
/// `PageToken` when `token` is not of this list.
pub async fn list(
    pool: &PgPool,
    page_size: u32,
    token: Option<&PageToken>,
) -> Result<Listed<AdjustmentRecord>, ListError> {
    let before = token.map(|token| token.open(LIST)).transpose()?;
    let before = before.and_then(|text| Uuid::try_parse(&text).ok()).unwrap_or(Uuid::max());
    let limit = page_size.clamp(1, MAX_PAGE);
    let query = concat!(
        "select ",
        columns!(),
        " from adjustments where adjustment_id < $1 order by adjustment_id desc limit $2"
    );
    let rows = sqlx::query(query).bind(before).bind(i64::from(limit)).fetch_all(pool).await?;
    let items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(listed(items, limit, |last| PageToken::new(LIST, &last.id.to_string())))
}

fn read(row: &PgRow) -> Result<AdjustmentRecord, StoreError> {
    let time = |ms: i64| from_bigint(ms, "time of a correction").map(UnixMs);
    let applied: Option<i64> = row.try_get("applied_unix_ms")?;
    let account: Option<Uuid> = row.try_get("account_id")?;
    Ok(AdjustmentRecord {
        id: row.try_get("adjustment_id")?,
        subject: subject(row.try_get("subject")?, account)?,
        amount_msat: row.try_get("amount_msat")?,
        note: row.try_get("note")?,
        proposed_by: row.try_get("proposed_by")?,
        approved_by: row.try_get("approved_by")?,
        proposed_at: time(row.try_get("proposed_unix_ms")?)?,
        applied_at: applied.map(time).transpose()?,
    })
}

fn subject(name: &str, account: Option<Uuid>) -> Result<Subject, StoreError> {
    let found = account.map_or(Subject::ChannelLoss, |account| Subject::Customer(CustomerId::new(account)));
    if found.as_str() == name {
        Ok(found)
    } else {
        Err(StoreError::Corrupt(format!("a correction of {name:?}, account {account:?}")))
    }
}
