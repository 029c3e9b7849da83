//! Inputs and outputs are erased after their retention; what was promised and paid stays.

use std::time::Duration;

use ailayer_store::{Store, StoreError};

use super::ledger;

/// Erases input and output of up to `limit` jobs that ended longer than `retention` ago. Answers how many.
pub async fn erase(store: &Store, retention: Duration, limit: u32) -> Result<u64, StoreError> {
    let query = sqlx::query(
        "update jobs set input = null, output = null, erased_unix_ms = unix_ms()
         where job_id in (
            select job_id from jobs
            where erased_unix_ms is null and state in ('SETTLED', 'LOST', 'FAILED', 'CANCELED', 'EXPIRED')
                and updated_unix_ms <= (select unix_ms() - $1)
            order by updated_unix_ms limit $2 for update skip locked)",
    );
    let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
    let mut tx = ledger::begin(store).await?;
    let erased = query.bind(retention_ms).bind(i64::from(limit)).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(erased.rows_affected())
}
