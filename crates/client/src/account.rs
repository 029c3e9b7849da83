//! The gateway, as a customer with a key sees it.

use ailayer_platform::client::{ClientConfig, ClientError, GrpcChannel, channel, stream_channel};
use ailayer_primitives::{JobToken, RequestId};
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::answer::Answer;
use futures::stream::{BoxStream, StreamExt as _};
use pb::account_service_client::AccountServiceClient;

pub use pb::run_job_response::Result as RunResult;
pub use pb::{
    Account, Deposit, DepositState, GetAccountResponse, RunJobResponse, StatementFormat, StatementLine,
};

use crate::bearer::Bearer;
use crate::error::refused;
use crate::gateway::{JobKey, Task, rows, tensors};
use crate::wire::Reader;
use crate::{CallError, MAX_ANSWER_BYTES};

const SERVICE: &str = "gateway";
const READ: Reader = Reader(SERVICE);

/// Runs a model at the account's expense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepaidOrder {
    /// The idempotency key; a random UUID.
    pub request_id: RequestId,
    /// The model's name.
    pub model_name: String,
    /// The version; empty for the newest.
    pub model_version: String,
    /// What to do.
    pub task: Task,
    /// The most it may cost, millisatoshi; 0 for no limit but the balance.
    pub max_price_msat: u64,
}

/// What opens an answered job for [`GatewayClient`](crate::GatewayClient): its receipt, its proof.
pub fn job_key(answer: &RunJobResponse) -> Result<JobKey, CallError> {
    let job = READ.required("job", answer.job.as_ref())?;
    let job_id = READ.parse("job_id", &job.job_id)?;
    Ok(JobKey { job_id, token: JobToken::new(READ.bytes("job_token", &answer.job_token)?) })
}

/// What a job has brought, checked to be whole; nothing if it brought nothing. Hold its digest against the receipt's.
pub fn answer(answer: &RunJobResponse) -> Result<Option<Answer>, CallError> {
    match answer.result.clone() {
        None => Ok(None),
        Some(RunResult::Embed(embed)) => rows(embed).map(Some),
        Some(RunResult::Infer(infer)) => tensors(infer).map(Some),
    }
}

/// Calls the gateway with an API key.
#[derive(Clone, Debug)]
pub struct AccountClient {
    unary: AccountServiceClient<GrpcChannel>,
    streaming: AccountServiceClient<GrpcChannel>,
    key: Bearer,
}

impl AccountClient {
    /// Prepares the client; the connection comes up at the first call.
    pub fn new(config: &ClientConfig, key: &str) -> Result<Self, ClientError> {
        let limited =
            |channel| AccountServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        let (unary, streaming) = (limited(channel(config)?), limited(stream_channel(config)?));
        Ok(Self { unary, streaming, key: Bearer::new(key) })
    }

    /// The balance, and what the key may still spend.
    pub async fn account(&self) -> Result<GetAccountResponse, CallError> {
        let request = self.key.request(pb::GetAccountRequest {}, SERVICE)?;
        Ok(self.unary.clone().get_account(request).await.map_err(refused(SERVICE))?.into_inner())
    }

    /// A page of movements, the oldest first, and where the list goes on; empty at its end.
    pub async fn statement(
        &self,
        from_unix_ms: u64,
        page_size: u32,
        page_token: String,
    ) -> Result<(Vec<StatementLine>, String), CallError> {
        let request = pb::ListStatementRequest { from_unix_ms, page_size, page_token };
        let request = self.key.request(request, SERVICE)?;
        let page = self.unary.clone().list_statement(request).await.map_err(refused(SERVICE))?.into_inner();
        Ok((page.lines, page.next_page_token))
    }

    /// The movements of a period as a file, in parts of whole lines. Whole if the last part is not an error.
    pub async fn export_statement(
        &self,
        from_unix_ms: u64,
        until_unix_ms: u64,
        format: StatementFormat,
    ) -> Result<BoxStream<'static, Result<String, CallError>>, CallError> {
        let request = pb::ExportStatementRequest { from_unix_ms, until_unix_ms, format: format.into() };
        let request = self.key.request(request, SERVICE)?;
        let answer = self.streaming.clone().export_statement(request).await.map_err(refused(SERVICE))?;
        Ok(answer.into_inner().map(|part| Ok(part.map_err(refused(SERVICE))?.text)).boxed())
    }

    /// Makes an invoice that funds the balance. Idempotent by the request id.
    pub async fn create_deposit(
        &self,
        request_id: RequestId,
        amount_msat: u64,
    ) -> Result<Deposit, CallError> {
        let request = pb::CreateDepositRequest { request_id: request_id.to_string(), amount_msat };
        let request = self.key.request(request, SERVICE)?;
        let answer = self.unary.clone().create_deposit(request).await.map_err(refused(SERVICE))?;
        READ.required("deposit", answer.into_inner().deposit)
    }

    /// Tells where a deposit stands.
    pub async fn deposit(&self, deposit_id: &str) -> Result<Deposit, CallError> {
        let request = pb::GetDepositRequest { deposit_id: deposit_id.to_owned() };
        let request = self.key.request(request, SERVICE)?;
        let answer = self.unary.clone().get_deposit(request).await.map_err(refused(SERVICE))?;
        READ.required("deposit", answer.into_inner().deposit)
    }

    /// Runs a job to its end, or answers the end of the one that the request id has made.
    pub async fn run(&self, order: &PrepaidOrder) -> Result<RunJobResponse, CallError> {
        let request = pb::RunJobRequest {
            request_id: order.request_id.to_string(),
            model_name: order.model_name.clone(),
            model_version: order.model_version.clone(),
            task: Some(order.task.to_run()),
            max_price_msat: order.max_price_msat,
        };
        let request = self.key.request(request, SERVICE)?;
        Ok(self.unary.clone().run_job(request).await.map_err(refused(SERVICE))?.into_inner())
    }
}
