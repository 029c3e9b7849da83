//! The wallet's change sets, opaque to SQL.

use ailayer_store::{StoreError, Tx};
use sqlx::{PgPool, Row};

/// All changes, oldest first.
pub async fn read(pool: &PgPool) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query("select change from wallet_change order by change_id").fetch_all(pool).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Adds one change.
pub async fn append_in_tx(tx: &mut Tx, change: &str) -> Result<(), StoreError> {
    sqlx::query("insert into wallet_change (change) values ($1)").bind(change).execute(&mut **tx).await?;
    Ok(())
}

/// Replaces all changes by one that says the same.
pub async fn compact_in_tx(tx: &mut Tx, change: &str) -> Result<(), StoreError> {
    sqlx::query("delete from wallet_change").execute(&mut **tx).await?;
    append_in_tx(tx, change).await
}
