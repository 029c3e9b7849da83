//! A ledger with customers, and the writer that the gateway has.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use ailayer_gateway::domain::ledger::{Asset, CustomerId, Operation, Verdict, funding, prepaid};
use ailayer_gateway::store::{self, ledger};
use ailayer_gateway::tasks::write_ledger::{LedgerHandle, LedgerWriter, NoRiders, WriterLimits};
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_primitives::{AmountMsat, JobId};
use ailayer_store::{Store, StoreConfig};
use anyhow::{Context as _, bail};
use futures::stream::{self, TryStreamExt as _};
use uuid::Uuid;

use crate::books::Books;
use crate::database::Database;

/// What a customer pays in at a time: more than any run can spend.
const DEPOSIT_MSAT: u64 = 100_000_000_000;
/// What is set aside for a job, and what it costs.
const CAP_MSAT: u64 = 3_000;
const CHARGE_MSAT: u64 = 2_000;
/// Accounts opened in one transaction.
const OPENED_TOGETHER: usize = 1_000;
/// Operations in flight while a ledger is filled: large batches, and none waits until it is refused on a busy machine.
const FILLERS: usize = 2_048;
/// Deposits and jobs of each account of a filled ledger: ten entries.
const DEPOSITS_EACH: usize = 2;
const JOBS_EACH: usize = 4;
const GRACE_PERIOD: Duration = Duration::from_secs(20);

/// A ledger in a database of its own.
pub struct Bank {
    /// The database.
    pub url: String,
    store: Store,
    ledger: LedgerHandle,
    tasks: Tasks,
    customers: Vec<CustomerId>,
    books: RefCell<Books>,
}

/// A job whose cap is set aside.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    customer: usize,
    job_id: JobId,
}

impl Bank {
    /// Opens accounts, each with one deposit.
    async fn open(database: &Database, accounts: usize) -> anyhow::Result<Self> {
        let url = database.create().await?;
        let store = store::connect(&StoreConfig::new(url.clone())).await?;
        let (writer, ledger) = LedgerWriter::new(&store, NoRiders, WriterLimits::default());
        let tasks = Tasks::new(Shutdown::new(), GRACE_PERIOD);
        tasks.spawn("write_ledger", writer.run(tasks.shutdown_token()));
        let customers: Vec<CustomerId> = (0..accounts).map(|_| CustomerId::new(Uuid::new_v4())).collect();
        for together in customers.chunks(OPENED_TOGETHER) {
            let mut tx = store.begin().await?;
            for customer in together {
                ledger::accounts::open_customer_in_tx(&mut tx, *customer, Asset::Btc, 0).await?;
            }
            tx.commit().await?;
        }
        let books = RefCell::new(Books::new(accounts));
        let bank = Self { url, store, ledger, tasks, customers, books };
        bank.each(async |customer| bank.deposit(customer).await).await?;
        Ok(bank)
    }

    /// The same with ten entries an account: deposits, and jobs that have ended. All of it through the writer, so that the
    /// books are true.
    pub async fn open_with_history(database: &Database, accounts: usize) -> anyhow::Result<Self> {
        let bank = Self::open(database, accounts).await?;
        for _ in 1..DEPOSITS_EACH {
            bank.each(async |customer| bank.deposit(customer).await).await?;
        }
        for _ in 0..JOBS_EACH {
            let job = async |customer| bank.capture(bank.reserve(customer).await?).await;
            bank.each(async |customer| job(customer).await.map(drop)).await?;
            // Not before the first of them: statistics of empty tables make plans that read whole what they will hold.
            database.analyse(&bank.url).await?;
        }
        database.settle(&bank.url).await?;
        Ok(bank)
    }

    /// How many customers there are.
    pub fn accounts(&self) -> usize {
        self.customers.len()
    }

    /// How many transactions the ledger has.
    pub fn transactions(&self) -> usize {
        self.books.borrow().transactions()
    }

    /// Sets the cap of a new job aside.
    pub async fn reserve(&self, customer: usize) -> anyhow::Result<Held> {
        let held = Held { customer, job_id: JobId::new(Uuid::now_v7()) };
        let cap = AmountMsat::try_new(CAP_MSAT)?;
        self.apply(customer, prepaid::reserve(self.customer(customer)?, held.job_id, cap)?, 0).await?;
        Ok(held)
    }

    /// Takes what a job costs; answers when that was durable.
    pub async fn capture(&self, held: Held) -> anyhow::Result<Instant> {
        let charge = AmountMsat::try_new(CHARGE_MSAT)?;
        let operation = prepaid::capture(self.customer(held.customer)?, held.job_id, charge)?;
        self.apply(held.customer, operation, -charge.to_i64()).await
    }

    /// Compares the tables with each other and with what was answered.
    pub async fn verify(&self) -> anyhow::Result<()> {
        let books = self.books.borrow().clone();
        books.check(&self.url, &self.customers).await
    }

    /// Bytes of the ledger's tables with their indexes.
    pub async fn bytes(&self) -> anyhow::Result<f64> {
        let query = "select sum(pg_total_relation_size(oid))::float8 from pg_class
                     where relkind = 'r' and relnamespace = 'gateway'::regnamespace and relname like 'ledger\\_%'";
        Ok(sqlx::query_scalar(query).fetch_one(self.store.pool()).await?)
    }

    /// Ends the writer.
    pub async fn close(self) -> anyhow::Result<()> {
        self.tasks.shutdown_token().trigger();
        self.tasks.join().await?;
        self.store.close().await;
        Ok(())
    }

    async fn deposit(&self, customer: usize) -> anyhow::Result<()> {
        let amount = AmountMsat::try_new(DEPOSIT_MSAT)?;
        let operation = funding::credit(self.customer(customer)?, Uuid::now_v7(), amount)?;
        self.apply(customer, operation, amount.to_i64()).await.map(drop)
    }

    async fn apply(&self, customer: usize, operation: Operation, change: i64) -> anyhow::Result<Instant> {
        let verdict = self.ledger.submit(operation).await?;
        let at = Instant::now();
        let Verdict::Applied(posted) = verdict else { bail!("the ledger answered {verdict:?}") };
        self.books.borrow_mut().enter(customer, change, posted.transaction_id);
        Ok(at)
    }

    async fn each(&self, once: impl AsyncFn(usize) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let customers = stream::iter((0..self.customers.len()).map(anyhow::Ok));
        customers.try_for_each_concurrent(FILLERS, |customer| once(customer)).await
    }

    fn customer(&self, number: usize) -> anyhow::Result<CustomerId> {
        self.customers.get(number).copied().context("no such customer")
    }
}
