//! Reservations whose time has run out.

use ailayer_primitives::RequestId;
use ailayer_store::StoreError;
use sqlx::{PgPool, Row as _};

use crate::domain::ledger::AccountId;
use crate::store::corrupt;

/// Pending reservations that may be expired, the longest overdue first. A job's are never among them.
///
/// # Errors
/// `Unavailable` when the database is.
pub async fn expired(pool: &PgPool, limit: u32) -> Result<Vec<(AccountId, RequestId)>, StoreError> {
    let rows = sqlx::query(
        "select code, reservation_id from ledger_reservations join ledger_accounts using (account_id)
         where due_unix_ms <= (select unix_ms()) order by due_unix_ms limit $1",
    )
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let code: &str = row.try_get(0)?;
        let account = code.parse().map_err(|error| corrupt("account")(&error))?;
        found.push((account, RequestId::new(row.try_get(1)?)));
    }
    Ok(found)
}
