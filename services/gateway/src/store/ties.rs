//! Where the ledger and the other tables must say the same. Reads whole tables: for operators and tests, not for a request's
//! path.

use ailayer_store::StoreError;
use sqlx::{PgPool, Row as _};

use crate::domain::ledger::Asset;

/// What is wrong, by number of rows; all zero if the tables agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ties {
    /// 1 if `liability:suspense` is not the sum of the items that wait.
    pub wrong_suspense: i64,
    /// Reservations that are pending for a job that does not run.
    pub reserved_without_a_job: i64,
    /// Settled and lost jobs, and credited deposits, that no transaction is about.
    pub ended_without_posting: i64,
}

/// Compares the tables, in one snapshot.
///
/// # Errors
/// `TimedOut` when they are too large for the statement's time limit: run it with a longer one.
pub async fn verify(pool: &PgPool) -> Result<Ties, StoreError> {
    let row = sqlx::query(
        "select
            (select (waiting.msat <> held.msat)::integer::bigint from
                (select coalesce(sum(amount_msat), 0) as msat from suspense_items where account_id is null) waiting,
                (select coalesce(sum(balance_units), 0) as msat from ledger_accounts
                    where kind = 'liability:suspense' and asset = $1) held),
            (select count(*) from ledger_reservations held left join jobs using (job_id)
                where held.state = 'PENDING' and held.job_id is not null
                    and (jobs.state is null or jobs.state not in ('RUNNING', 'COMPLETED'))),
            (select count(*) from (
                select job_id as id from jobs where state = 'LOST' or (state = 'SETTLED' and rail = 'hold')
                union all select deposit_id from deposits where state = 'CREDITED') ended
                where not exists (select from ledger_transactions where request_id = id))
            + (select count(*) from jobs where state = 'SETTLED' and rail = 'prepaid' and not exists (
                select from ledger_transactions where subject_id = job_id and kind = 'capture'))",
    )
    .bind(Asset::Btc.to_string())
    .fetch_one(pool)
    .await?;
    Ok(Ties {
        wrong_suspense: row.try_get(0)?,
        reserved_without_a_job: row.try_get(1)?,
        ended_without_posting: row.try_get(2)?,
    })
}
