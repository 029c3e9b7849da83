//! Double entry: what is posted stays, and every transaction sums to zero at commit.

use ailayer_primitives::{JobId, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::{PgPool, Row as _};
use uuid::Uuid;

use super::to_bigint;
use crate::domain::ledger::{ASSET, Account, LedgerTransaction};

/// Posts the one transaction a job may have. `Conflict` if the job was posted before.
pub async fn post_in_tx(
    tx: &mut Tx,
    job_id: JobId,
    transaction: &LedgerTransaction,
    at: UnixMs,
) -> Result<(), StoreError> {
    let transaction_id = Uuid::now_v7();
    sqlx::query(
        "insert into ledger_transactions (transaction_id, job_id, kind, posted_unix_ms) values ($1, $2, $3, $4)",
    )
    .bind(transaction_id)
    .bind(job_id.uuid())
    .bind(transaction.kind)
    .bind(to_bigint(at.0))
    .execute(&mut **tx)
    .await?;
    for (line, posting) in (0i32..).zip(&transaction.postings) {
        sqlx::query(
            "insert into ledger_postings (transaction_id, line, account, asset, amount_msat)
             values ($1, $2, $3, $4, $5)",
        )
        .bind(transaction_id)
        .bind(line)
        .bind(posting.account.as_str())
        .bind(ASSET)
        .bind(posting.amount_msat)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

/// An account's balance in millisatoshi: debits less credits.
pub async fn balance(pool: &PgPool, account: Account) -> Result<i64, StoreError> {
    let query =
        "select coalesce(sum(amount_msat), 0)::bigint from ledger_postings where account = $1 and asset = $2";
    Ok(sqlx::query(query).bind(account.as_str()).bind(ASSET).fetch_one(pool).await?.try_get(0)?)
}
