//! Customers of the gateway with a balance each, what they bought, and whether the books say the same.

use std::cell::RefCell;
use std::time::Instant;

use ailayer_bench::generator::Refused;
use ailayer_bench::null::MODEL;
use ailayer_client::account::{PrepaidOrder, RunResult};
use ailayer_client::admin::{CreateAccountRequest, CreateApiKeyRequest, KeyTerms, ProposeAdjustmentRequest};
use ailayer_client::gateway::{JobState, Task};
use ailayer_client::{AccountClient, AdminClient, ClientConfig};
use ailayer_devnet::Network;
use ailayer_primitives::RequestId;
use anyhow::{Context as _, ensure};
use tonic::Code;
use uuid::Uuid;

use crate::books;

/// More than any run can spend.
const BALANCE_MSAT: i64 = 100_000_000_000;

/// Customers, and every answer they were charged for.
pub struct Customers {
    accounts: Vec<Customer>,
    /// Charged so far, by customer; millisatoshi.
    spent: RefCell<Vec<i64>>,
    jobs: RefCell<Vec<String>>,
}

struct Customer {
    account_id: Uuid,
    key: String,
}

/// What was bought.
pub struct Bought {
    /// The embedding.
    pub values: Vec<f32>,
    /// When it was there.
    pub at: Instant,
}

impl Customers {
    /// Opens accounts with keys without limits. Two operators put the money on them: what is measured is not how it came.
    pub async fn open(network: &Network, count: usize) -> anyhow::Result<Self> {
        let config = ClientConfig::new(network.gateway.grpc_url());
        let [alice, bob] = &network.operators;
        let (alice, bob) = (AdminClient::new(&config, &alice.key)?, AdminClient::new(&config, &bob.key)?);
        let mut accounts = Vec::with_capacity(count);
        for number in 0..count {
            let name = format!("customer {number}");
            let request_id = || Uuid::new_v4().to_string();
            let opened = CreateAccountRequest { name: name.clone(), request_id: request_id(), limit_msat: 0 };
            let account_id = alice.create_account(opened).await?.account_id;
            let scopes = ["run", "read"].map(str::to_owned).to_vec();
            let terms = Some(KeyTerms { name, scopes, ..Default::default() });
            let key = CreateApiKeyRequest { request_id: request_id(), account_id: account_id.clone(), terms };
            let (_, key) = alice.create_key(key).await?;
            let gift = ProposeAdjustmentRequest {
                request_id: request_id(),
                account_id: account_id.clone(),
                amount_msat: BALANCE_MSAT,
                note: "for the bench".to_owned(),
                ..ProposeAdjustmentRequest::default()
            };
            bob.approve(alice.propose(gift).await?.adjustment_id).await?;
            accounts.push(Customer { account_id: account_id.parse()?, key });
        }
        Ok(Self { spent: RefCell::new(vec![0; count]), accounts, jobs: RefCell::default() })
    }

    /// The customers at a gateway, or at what stands in for one; each has a connection of its own.
    pub fn at(&self, url: &str) -> anyhow::Result<Shop<'_>> {
        let config = ClientConfig::new(url);
        let clients = self.accounts.iter().map(|customer| AccountClient::new(&config, &customer.key));
        Ok(Shop { customers: self, clients: clients.collect::<Result<_, _>>()?, charges: true, books: true })
    }

    /// Fails unless the gateway's tables have every answered job once and settled, with its receipt in the log, and no other
    /// job; and every balance is what the answers left.
    pub async fn verify(&self, url: &str) -> anyhow::Result<()> {
        let mut jobs = self.jobs.borrow().clone();
        let answered = jobs.len();
        jobs.sort_unstable();
        jobs.dedup();
        ensure!(jobs.len() == answered, "a job id was answered twice");
        let store = books::open(url).await?;
        let counted: (i64, i64, i64) = sqlx::query_as(
            "select count(*), count(*) filter (where state = 'SETTLED'), count(distinct leaf_index) from jobs",
        )
        .fetch_one(store.pool())
        .await?;
        let expected = i64::try_from(answered)?;
        ensure!(
            counted == (expected, expected, expected),
            "{answered} jobs were answered; stored, settled and logged are {counted:?}"
        );
        let spent = self.spent.borrow().clone();
        for (customer, spent) in self.accounts.iter().zip(spent) {
            let found: (i64, i64) = sqlx::query_as(
                "select balance_units, reserved_units from ledger_accounts
                 where customer_id = $1 and kind = 'liability:customer'",
            )
            .bind(customer.account_id)
            .fetch_one(store.pool())
            .await?;
            let expected = (BALANCE_MSAT - spent, 0);
            ensure!(
                found == expected,
                "a balance and what is reserved are {found:?} instead of {expected:?}"
            );
        }
        books::agree(&store).await?;
        store.close().await;
        Ok(())
    }
}

/// Where customers buy.
pub struct Shop<'a> {
    customers: &'a Customers,
    clients: Vec<AccountClient>,
    /// Whether it takes money, and whether what it takes is written down.
    charges: bool,
    books: bool,
}

impl Shop<'_> {
    /// The same where nothing is charged: at a bare hop.
    #[must_use]
    pub fn unpaid(self) -> Self {
        Self { charges: false, books: false, ..self }
    }

    /// The same where nothing of it is kept: at a gateway without a ledger.
    #[must_use]
    pub fn unbooked(self) -> Self {
        Self { books: false, ..self }
    }

    /// The customer whose turn it is runs one text to the end of its job.
    pub async fn run(&self, call: usize, text: &str) -> anyhow::Result<Bought> {
        let number = call.checked_rem(self.clients.len()).context("no customer")?;
        let client = self.clients.get(number).context("no customer")?;
        let order = PrepaidOrder {
            request_id: RequestId::new(Uuid::new_v4()),
            model_name: MODEL.to_owned(),
            model_version: String::new(),
            task: Task::embed([text]),
            max_price_msat: 0,
        };
        let answer = client.run(&order).await.map_err(|error| match error.code() {
            // Before anything is written: there is no job of it.
            Code::ResourceExhausted => anyhow::Error::new(Refused(error.to_string())),
            _ => error.into(),
        })?;
        let at = Instant::now();
        let job = answer.job.context("an answer without its job")?;
        ensure!(job.state() == JobState::Settled, "a job is {:?} ({})", job.state(), job.release_reason);
        if self.charges {
            ensure!(answer.charged_msat > 0 && !answer.receipt.is_empty(), "a job without charge or receipt");
        }
        if self.books {
            let charged = i64::try_from(answer.charged_msat)?;
            if let Some(spent) = self.customers.spent.borrow_mut().get_mut(number) {
                *spent += charged;
            }
            self.customers.jobs.borrow_mut().push(job.job_id);
        }
        let Some(RunResult::Embed(result)) = answer.result else { anyhow::bail!("no answer") };
        let row = result.embeddings.into_iter().next().context("no row")?;
        Ok(Bought { values: row.values, at })
    }
}
