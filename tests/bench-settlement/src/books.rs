//! What was answered, and whether the tables say the same: a wrong fast run is a failure.

use std::collections::HashMap;
use std::time::Duration;

use ailayer_gateway::domain::ledger::{CustomerId, TransactionId};
use ailayer_gateway::store;
use ailayer_gateway::store::ledger::audit::{self, Findings};
use ailayer_store::{Store, StoreConfig};
use anyhow::{Context as _, ensure};
use uuid::Uuid;

/// Reading a ledger whole takes longer than any statement of a request may.
const STATEMENT_LIMIT: Duration = Duration::from_secs(600);

/// The gateway's tables in a database, for statements that read them whole.
pub async fn open(url: &str) -> anyhow::Result<Store> {
    let config = StoreConfig { statement_timeout: STATEMENT_LIMIT, ..StoreConfig::new(url) };
    Ok(store::connect(&config).await?)
}

/// Fails unless the ledger's tables agree with each other and every asset sums to zero.
pub async fn agree(store: &Store) -> anyhow::Result<()> {
    let findings = audit::verify(store.pool()).await?;
    ensure!(findings == Findings::default(), "the books are wrong: {findings:?}");
    let mut nets: HashMap<String, i128> = HashMap::new();
    for line in audit::trial_balance(store.pool()).await? {
        *nets.entry(line.asset).or_default() += line.net_units;
    }
    ensure!(nets.values().all(|net| *net == 0), "the trial balance is {nets:?}");
    Ok(())
}

/// Every answer of a ledger so far.
#[derive(Debug, Clone)]
pub struct Books {
    balances: Vec<i64>,
    transactions: Vec<Uuid>,
}

impl Books {
    /// Nothing has happened.
    pub fn new(customers: usize) -> Self {
        Self { balances: vec![0; customers], transactions: Vec::new() }
    }

    /// Notes an applied operation.
    pub fn enter(&mut self, customer: usize, change: i64, transaction: TransactionId) {
        if let Some(balance) = self.balances.get_mut(customer) {
            *balance += change;
        }
        self.transactions.push(transaction.uuid());
    }

    /// How many operations were applied.
    pub fn transactions(&self) -> usize {
        self.transactions.len()
    }

    /// Fails unless every answered transaction is there once and no other is, every balance is what was answered, and the
    /// tables agree.
    pub async fn check(mut self, url: &str, customers: &[CustomerId]) -> anyhow::Result<()> {
        let store = open(url).await?;
        let answered = self.transactions.len();
        self.transactions.sort_unstable();
        self.transactions.dedup();
        ensure!(self.transactions.len() == answered, "a transaction id was answered twice");
        let stored: i64 =
            sqlx::query_scalar("select count(*) from ledger_transactions").fetch_one(store.pool()).await?;
        ensure!(
            usize::try_from(stored) == Ok(answered),
            "{stored} transactions are stored and {answered} were answered"
        );
        let rows: Vec<(Uuid, i64)> = sqlx::query_as(
            "select customer_id, balance_units from ledger_accounts where kind = 'liability:customer'",
        )
        .fetch_all(store.pool())
        .await?;
        let found: HashMap<Uuid, i64> = rows.into_iter().collect();
        for (customer, balance) in customers.iter().zip(&self.balances) {
            let stored = found.get(&customer.uuid()).context("an account is gone")?;
            ensure!(stored == balance, "{customer} has {stored} msat, and {balance} by what was answered");
        }
        agree(&store).await?;
        store.close().await;
        Ok(())
    }
}
