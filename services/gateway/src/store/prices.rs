//! Prices that operators have set.

use ailayer_primitives::AmountMsat;
use ailayer_store::StoreError;
use sqlx::{PgPool, Row as _};

use super::corrupt;
use crate::domain::price::Price;

/// All of them, by model name.
pub async fn all(pool: &PgPool) -> Result<Vec<(String, Price)>, StoreError> {
    let query = "select model_name, per_call_msat, per_token_msat, per_tensor_byte_msat from prices order by model_name";
    let rows = sqlx::query(query).fetch_all(pool).await?;
    let amount = |msat: i64| AmountMsat::try_from_i64(msat).map_err(|error| corrupt("price")(&error));
    let read = |row: &sqlx::postgres::PgRow| {
        let price = Price {
            per_call: amount(row.try_get(1)?)?,
            per_token: amount(row.try_get(2)?)?,
            per_tensor_byte: amount(row.try_get(3)?)?,
        };
        Ok((row.try_get(0)?, price))
    };
    rows.iter().map(read).collect()
}

/// Sets a price in place of the one before. Durable when this returns.
pub async fn set(pool: &PgPool, model: &str, price: &Price) -> Result<(), StoreError> {
    sqlx::query(
        "insert into prices (model_name, per_call_msat, per_token_msat, per_tensor_byte_msat, set_unix_ms)
         values ($1, $2, $3, $4, unix_ms())
         on conflict (model_name) do update set per_call_msat = excluded.per_call_msat,
            per_token_msat = excluded.per_token_msat, per_tensor_byte_msat = excluded.per_tensor_byte_msat,
            set_unix_ms = excluded.set_unix_ms",
    )
    .bind(model)
    .bind(price.per_call.to_i64())
    .bind(price.per_token.to_i64())
    .bind(price.per_tensor_byte.to_i64())
    .execute(pool)
    .await?;
    Ok(())
}

/// Forgets a price; one that was never set is forgotten already. Durable when this returns.
pub async fn remove(pool: &PgPool, model: &str) -> Result<(), StoreError> {
    sqlx::query("delete from prices where model_name = $1").bind(model).execute(pool).await?;
    Ok(())
}
