//! A customer of a world: an account, a key, and what it does with them.

use ailayer_gateway::domain::ledger::{Account, Stripe, Verdict};
use ailayer_gateway::domain::ledger::{AccountId, Action, Amount, Asset, CustomerId, HouseKind, Operation};
use ailayer_gateway::store::ledger;
use ailayer_gateway::store::ledger::{Submission, apply_in_tx};
use ailayer_primitives::{JobId, RequestId};
use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::account_service_server::AccountService as _;
use pb::admin_service_server::AdminService as _;
use tonic::Status;
use uuid::Uuid;

use crate::world::{Process, World, operator_key, with_key};

pub struct Customer {
    pub id: CustomerId,
    pub key_id: String,
    pub key: String,
}

/// A key that allows everything and has no limits.
pub fn terms() -> pb::KeyTerms {
    pb::KeyTerms {
        name: "test".to_owned(),
        scopes: ["run", "read", "fund"].map(str::to_owned).to_vec(),
        ..Default::default()
    }
}

pub fn id() -> String {
    Uuid::new_v4().to_string()
}

impl Customer {
    /// Opens an account with a key.
    pub async fn new(gateway: &Process, terms: pb::KeyTerms) -> Self {
        let request =
            pb::CreateAccountRequest { request_id: id(), name: "a customer".to_owned(), limit_msat: 0 };
        let request = with_key(&operator_key("alice"), request);
        let opened = gateway.as_operator(|admin| async move { admin.create_account(request).await });
        let account = opened.await.unwrap().into_inner().account.unwrap();
        let request = pb::CreateApiKeyRequest {
            request_id: id(),
            account_id: account.account_id.clone(),
            terms: Some(terms),
        };
        let request = with_key(&operator_key("alice"), request);
        let made = gateway.as_operator(|admin| async move { admin.create_api_key(request).await });
        let made = made.await.unwrap().into_inner();
        Self {
            id: CustomerId::new(account.account_id.parse().unwrap()),
            key_id: made.key.unwrap().key_id,
            key: made.secret,
        }
    }

    /// The same with money, as if a deposit had come.
    pub async fn with_balance(world: &World, gateway: &Process, msat: i64) -> Self {
        let customer = Self::new(gateway, terms()).await;
        customer.fund(world, msat).await;
        customer
    }

    pub async fn fund(&self, world: &World, msat: i64) {
        let action = Action::Credit { amount: Amount::try_new(msat).unwrap(), from: HouseKind::Lightning };
        let account = AccountId::customer(self.id, Asset::Btc);
        let operation = Operation::try_new(account, RequestId::new(Uuid::new_v4()), action).unwrap();
        let mut tx = world.store.begin().await.unwrap();
        let stripe = Stripe::of_job(JobId::new(Uuid::new_v4()));
        let verdicts = apply_in_tx(&mut tx, stripe, &[Submission::new(operation)]).await.unwrap();
        assert!(matches!(verdicts[0], Verdict::Applied(_)), "{verdicts:?}");
        tx.commit().await.unwrap();
    }

    /// What the ledger has.
    pub async fn balance(&self, world: &World) -> Account {
        let id = AccountId::customer(self.id, Asset::Btc);
        ledger::accounts::by_id(world.store.pool(), id).await.unwrap().unwrap()
    }

    pub async fn run(
        &self,
        gateway: &Process,
        request: pb::RunJobRequest,
    ) -> Result<pb::RunJobResponse, Status> {
        let request = with_key(&self.key, request);
        let answer = gateway.as_customer(|accounts| async move { accounts.run_job(request).await });
        answer.await.map(tonic::Response::into_inner)
    }

    pub async fn account(&self, gateway: &Process) -> Result<pb::GetAccountResponse, Status> {
        let request = with_key(&self.key, pb::GetAccountRequest {});
        let answer = gateway.as_customer(|accounts| async move { accounts.get_account(request).await });
        answer.await.map(tonic::Response::into_inner)
    }

    pub async fn statement(&self, gateway: &Process) -> Vec<pb::StatementLine> {
        let request = with_key(&self.key, pb::ListStatementRequest::default());
        let answer = gateway.as_customer(|accounts| async move { accounts.list_statement(request).await });
        answer.await.unwrap().into_inner().lines
    }
}

/// Runs a tensor model.
pub fn tensor_job(inputs: Vec<pb::Tensor>) -> pb::RunJobRequest {
    let infer = pb::InferTask { inputs, outputs: Vec::new() };
    pb::RunJobRequest {
        model_name: "raw".to_owned(),
        task: Some(pb::run_job_request::Task::Infer(infer)),
        ..job(&[])
    }
}

/// Embeds texts.
pub fn job(texts: &[&str]) -> pb::RunJobRequest {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    pb::RunJobRequest {
        request_id: id(),
        model_name: "mini".to_owned(),
        model_version: String::new(),
        task: Some(pb::run_job_request::Task::Embed(pb::EmbedTask { texts, truncate: false })),
        max_price_msat: 0,
    }
}
