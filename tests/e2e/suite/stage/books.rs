//! What the services' tables say. Read only.

use anyhow::ensure;
use sqlx::Row as _;

use super::Stage;
use super::purchase::Deal;

impl Stage {
    /// The postings of a job must be exactly these, in any order.
    pub async fn check_postings(&self, deal: &Deal, expected: &[(&str, i64)]) -> anyhow::Result<()> {
        let rows = sqlx::query(
            "select accounts.kind, lines.amount_units from gateway.ledger_lines lines
             join gateway.ledger_transactions using (transaction_id)
             join gateway.ledger_accounts accounts on accounts.account_id = lines.account_id
             where request_id = $1::text::uuid order by accounts.kind",
        )
        .bind(deal.key().job_id.to_string())
        .fetch_all(&self.database)
        .await?;
        let mut found = Vec::new();
        for row in &rows {
            found.push((row.try_get::<String, _>(0)?, row.try_get::<i64, _>(1)?));
        }
        let found: Vec<(&str, i64)> =
            found.iter().map(|(account, amount)| (account.as_str(), *amount)).collect();
        ensure!(found == expected, "the job's postings are {found:?} instead of {expected:?}");
        self.check_ledger_balance().await
    }

    /// Every ledger transaction, and so the whole ledger, sums to zero for each asset.
    pub async fn check_ledger_balance(&self) -> anyhow::Result<()> {
        let unbalanced = self
            .count(
                "select count(*) from (select transaction_id from gateway.ledger_lines
                 join gateway.ledger_accounts using (account_id)
                 group by transaction_id, asset having sum(amount_units) <> 0) as unbalanced",
            )
            .await?;
        ensure!(unbalanced == 0, "{unbalanced} ledger transactions do not sum to zero");
        Ok(())
    }

    /// A single number from the tables.
    pub async fn count(&self, query: &'static str) -> anyhow::Result<i64> {
        Ok(sqlx::query(query).fetch_one(&self.database).await?.try_get(0)?)
    }

    /// A single number about a job, named `$1` in the query as text.
    pub async fn count_for(&self, query: &'static str, id: &str) -> anyhow::Result<i64> {
        Ok(sqlx::query(query).bind(id).fetch_one(&self.database).await?.try_get(0)?)
    }
}
