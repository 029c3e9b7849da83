//! How many of the payments without a row operators have explained.

use ailayer_store::StoreError;
use sqlx::{PgPool, Row as _};

use super::{from_bigint, to_bigint};

/// So many, from the first on.
pub async fn count(pool: &PgPool) -> Result<u64, StoreError> {
    let row =
        sqlx::query("select coalesce(max(payments), 0) from explained_payments").fetch_one(pool).await?;
    from_bigint(row.try_get(0)?, "explained payments")
}

/// The first `payments` are explained. Never fewer than before: a smaller or the same number changes nothing. Durable when this
/// returns.
pub async fn add(pool: &PgPool, payments: u64, note: &str, operator: &str) -> Result<(), StoreError> {
    sqlx::query(
        "insert into explained_payments (payments, note, operator, explained_unix_ms)
         select $1, $2, $3, unix_ms() where $1 > (select coalesce(max(payments), 0) from explained_payments)
         on conflict (payments) do nothing",
    )
    .bind(to_bigint(payments))
    .bind(note)
    .bind(operator)
    .execute(pool)
    .await?;
    Ok(())
}
