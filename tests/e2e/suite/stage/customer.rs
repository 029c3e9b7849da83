//! Customers with a balance: accounts, keys, deposits over Lightning, jobs that are charged.

use std::time::Duration;

use ailayer_client::account::{Deposit, DepositState, PrepaidOrder, RunJobResponse, RunResult, job_key};
use ailayer_client::admin::{CreateAccountRequest, CreateApiKeyRequest, KeyTerms};
use ailayer_client::gateway::{JobState, Task};
use ailayer_client::{AccountClient, AdminClient, ClientConfig};
use ailayer_primitives::{AmountMsat, RequestId};
use ailayer_receipt::statement::Rail;
use ailayer_receipt::{Envelope, Receipt};
use anyhow::{Context as _, ensure};
use uuid::Uuid;

use super::{MODEL, PATIENCE, PRICE_PER_CALL_MSAT, PRICE_PER_TOKEN_MSAT, Stage, wait};

/// How long a job of a gateway that was killed may take to be taken over and ended.
const TAKEN_OVER: Duration = Duration::from_secs(60);

/// An account of its own, and who calls with its key.
pub struct Customer {
    /// Calls with a key that may do everything.
    pub client: AccountClient,
}

/// A balance, and what of it is set aside; millisatoshi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// All of it.
    pub balance_msat: i64,
    /// Set aside.
    pub reserved_msat: i64,
}

impl Customer {
    /// An order of its own for some texts.
    pub fn order(&self, texts: &[&str]) -> PrepaidOrder {
        PrepaidOrder {
            request_id: RequestId::new(Uuid::new_v4()),
            model_name: MODEL.to_owned(),
            model_version: String::new(),
            task: Task::embed(texts.iter().copied()),
            max_price_msat: 0,
        }
    }

    /// Now; asked again while the gateway is away.
    pub async fn balance(&self) -> anyhow::Result<Balance> {
        let answer = wait::answered(PATIENCE, || self.client.account()).await.context("account")?;
        let account = answer.account.context("no account")?;
        Ok(Balance { balance_msat: account.balance_msat, reserved_msat: account.reserved_msat })
    }

    /// Must be this, with nothing set aside.
    pub async fn expect_balance(&self, balance_msat: i64) -> anyhow::Result<()> {
        let found = self.balance().await?;
        let expected = Balance { balance_msat, reserved_msat: 0 };
        ensure!(found == expected, "the balance is {found:?} instead of {expected:?}");
        Ok(())
    }

    /// An invoice; asked for again while the gateway is away.
    pub async fn invoice(&self, request_id: RequestId, amount_msat: u64) -> anyhow::Result<Deposit> {
        let made = wait::answered(PATIENCE, || self.client.create_deposit(request_id, amount_msat)).await;
        made.context("deposit")
    }

    /// Waits until a deposit is on the balance.
    pub async fn credited(&self, deposit_id: &str) -> anyhow::Result<Deposit> {
        wait::found("the deposit's credit", TAKEN_OVER, || async {
            let deposit = self.client.deposit(deposit_id).await?;
            ensure!(deposit.state() == DepositState::Credited, "the deposit is {:?}", deposit.state());
            Ok(deposit)
        })
        .await
    }
}

impl Stage {
    /// The first operator, or the second.
    pub fn operator(&self, second: bool) -> anyhow::Result<AdminClient> {
        let [first, other] = &self.network.operators;
        let key = if second { &other.key } else { &first.key };
        Ok(AdminClient::new(&ClientConfig::new(self.network.gateway.grpc_url()), key)?)
    }

    /// A customer who has nothing yet.
    pub async fn new_customer(&self) -> anyhow::Result<Customer> {
        let operator = self.operator(false)?;
        let request_id = Uuid::new_v4().to_string();
        let request =
            CreateAccountRequest { name: format!("customer {request_id}"), request_id, limit_msat: 0 };
        let account_id = operator.create_account(request).await?.account_id;
        let terms = KeyTerms {
            name: "e2e".to_owned(),
            scopes: ["run", "read", "fund"].map(str::to_owned).to_vec(),
            ..Default::default()
        };
        let request = CreateApiKeyRequest {
            request_id: Uuid::new_v4().to_string(),
            account_id: account_id.clone(),
            terms: Some(terms),
        };
        let (_, secret) = operator.create_key(request).await?;
        self.keep_secret(format!("key of account {account_id}"), secret.clone());
        let config =
            ClientConfig { timeout: TAKEN_OVER, ..ClientConfig::new(self.network.gateway.grpc_url()) };
        Ok(Customer { client: AccountClient::new(&config, &secret)? })
    }

    /// A customer whose deposit is credited.
    pub async fn customer_with(&self, amount_msat: u64) -> anyhow::Result<Customer> {
        let customer = self.new_customer().await?;
        let deposit = customer.invoice(RequestId::new(Uuid::new_v4()), amount_msat).await?;
        self.pay_deposit(&deposit).await?;
        customer.credited(&deposit.deposit_id).await?;
        customer.expect_balance(i64::try_from(amount_msat)?).await?;
        Ok(customer)
    }

    /// The buyer's node locks the money of a deposit; answers what it could send before.
    pub async fn pay_deposit(&self, deposit: &Deposit) -> anyhow::Result<u64> {
        // What the buyer has is looked at before every payment, so that a channel that closes is accounted for.
        let before_msat = self.outbound_msat(&self.buyer).await?;
        let sent = self.buyer.pay(&deposit.bolt11, AmountMsat::try_new(deposit.amount_msat)?).await?;
        ensure!(sent, "the buyer's node says that it has paid this deposit before");
        Ok(before_msat)
    }

    /// Asks for an order until it is answered: it must be settled, charged once and at its price, receipted and logged.
    pub async fn expect_charged(
        &self,
        customer: &Customer,
        order: &PrepaidOrder,
        before_msat: i64,
    ) -> anyhow::Result<RunJobResponse> {
        let answer = wait::answered(TAKEN_OVER, || customer.client.run(order)).await.context("run")?;
        let job = answer.job.clone().context("no job")?;
        ensure!(job.state() == JobState::Settled, "the job is {:?} ({})", job.state(), job.release_reason);
        let Some(RunResult::Embed(result)) = &answer.result else { anyhow::bail!("no answer") };
        ensure!(result.embeddings.len() == order.task.texts().len(), "another number of rows than texts");

        let envelope = Envelope::parse(&answer.receipt)?;
        let receipt: Receipt = envelope.open(&self.seller.gateway_key)?;
        ensure!(receipt.rail == Rail::Prepaid, "the receipt names another rail");
        ensure!(receipt.payment_hash.is_none(), "the receipt names a payment");
        ensure!(receipt.price_msat.msat() == answer.charged_msat, "the receipt is about another price");
        let tokens = receipt.usage.input_tokens;
        let price = PRICE_PER_CALL_MSAT + PRICE_PER_TOKEN_MSAT * tokens;
        ensure!(answer.charged_msat == price, "{} msat for {tokens} tokens", answer.charged_msat);
        ensure!(answer.charged_msat <= job.price_msat, "charged more than the cap");
        let charged = i64::try_from(answer.charged_msat)?;
        customer.expect_balance(before_msat - charged).await?;

        let key = job_key(&answer)?;
        self.keep_secret(format!("token of job {}", key.job_id), hex::encode(key.token.expose()));
        let jobs = "select count(*) from gateway.jobs where request_id = $1::text::uuid";
        let made = self.count_for(jobs, &order.request_id.to_string()).await?;
        ensure!(made == 1, "the request has made {made} jobs");
        let taken = "select -coalesce(sum(lines.amount_units), 0)::bigint from gateway.ledger_lines lines
                     join gateway.ledger_transactions using (transaction_id)
                     join gateway.ledger_accounts accounts on accounts.account_id = lines.account_id
                     where accounts.kind = 'revenue:inference' and subject_id = $1::text::uuid";
        let taken = self.count_for(taken, &key.job_id.to_string()).await?;
        ensure!(taken == charged, "the books earned {taken} msat with the job instead of {charged}");
        self.check_ledger_balance().await?;
        self.check_logged("receipt", &envelope).await?;
        Ok(answer)
    }
}

/// The numbers of an answer.
pub fn rows(answer: &RunJobResponse) -> Vec<Vec<f32>> {
    let Some(RunResult::Embed(result)) = &answer.result else { return Vec::new() };
    result.embeddings.iter().map(|row| row.values.clone()).collect()
}
