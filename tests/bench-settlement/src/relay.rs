//! The bare hop: takes what the gateway takes, calls the model, answers. No state, no keys, no money.

use std::net::SocketAddr;

use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_proto::ailayer::serving::v1::serving_service_client::ServingServiceClient;
use ailayer_proto::ailayer::serving::v1::{EmbedRequest, EmbedResponse};
use futures::stream;
use pb::account_service_server::{AccountService, AccountServiceServer};
use pb::run_job_request::Task;
use pb::run_job_response::Result as Outcome;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

/// Passes `RunJob` on.
pub struct Relay {
    model: ServingServiceClient<Channel>,
}

impl Relay {
    /// To a model server; one connection, as the gateway has, which comes up at the first call.
    pub fn routes(model: SocketAddr) -> anyhow::Result<Routes> {
        let endpoint = Endpoint::from_shared(format!("http://{model}"))?.tcp_nodelay(true);
        let relay = Self { model: ServingServiceClient::new(endpoint.connect_lazy()) };
        Ok(Routes::new(AccountServiceServer::new(relay)))
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl AccountService for Relay {
    type ExportStatementStream = stream::Empty<Result<pb::ExportStatementResponse, Status>>;

    async fn run_job(&self, request: Request<pb::RunJobRequest>) -> Answer<pb::RunJobResponse> {
        let request = request.into_inner();
        let Some(Task::Embed(task)) = request.task else {
            return Err(Status::invalid_argument("task must say what to do"));
        };
        let call = EmbedRequest {
            model_name: request.model_name,
            model_version: request.model_version,
            texts: task.texts,
            ..Default::default()
        };
        let embedded = self.model.clone().embed(call).await?.into_inner();
        let job =
            pb::Job { job_id: request.request_id, state: pb::JobState::Settled.into(), ..Default::default() };
        let result = Some(Outcome::Embed(result(embedded)));
        Ok(Response::new(pb::RunJobResponse { job: Some(job), result, ..Default::default() }))
    }

    async fn get_account(&self, _: Request<pb::GetAccountRequest>) -> Answer<pb::GetAccountResponse> {
        Err(nothing_else())
    }

    async fn list_statement(
        &self,
        _: Request<pb::ListStatementRequest>,
    ) -> Answer<pb::ListStatementResponse> {
        Err(nothing_else())
    }

    async fn export_statement(
        &self,
        _: Request<pb::ExportStatementRequest>,
    ) -> Answer<Self::ExportStatementStream> {
        Err(nothing_else())
    }

    async fn create_deposit(
        &self,
        _: Request<pb::CreateDepositRequest>,
    ) -> Answer<pb::CreateDepositResponse> {
        Err(nothing_else())
    }

    async fn get_deposit(&self, _: Request<pb::GetDepositRequest>) -> Answer<pb::GetDepositResponse> {
        Err(nothing_else())
    }

    async fn list_jobs(&self, _: Request<pb::ListJobsRequest>) -> Answer<pb::ListJobsResponse> {
        Err(nothing_else())
    }
}

fn result(embedded: EmbedResponse) -> pb::EmbedResult {
    let embeddings = embedded.embeddings.into_iter().map(|it| pb::Embedding {
        values: it.values,
        input_tokens: it.input_tokens,
        truncated: it.truncated,
    });
    pb::EmbedResult { embeddings: embeddings.collect() }
}

fn nothing_else() -> Status {
    Status::unimplemented("a hop passes RunJob on and does nothing else")
}
