//! The gRPC surface: one file a call. Protobuf stays in this room.

mod account_service;
mod acknowledge_result;
mod admin_service;
mod cancel_job;
mod convert;
mod create_quote;
mod deposits;
mod export_statement;
mod get_info;
mod get_job;
mod get_receipt;
mod get_result;
mod list_models;
mod watch_job;

use std::net::IpAddr;
use std::sync::Arc;

use ailayer_platform::error::Failure;
use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::{JobId, JobToken};
use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::gateway_service_server::GatewayService;
use tonic::{Request, Response, Status};

use crate::access::Access;
use crate::audit_log::Log;
use crate::brakes::Brakes;
use crate::deposits::Deposits;
use crate::domain::keys::{Keys, token_opens};
use crate::error::JobError;
use crate::jobs::{JobRow, Jobs};
use crate::operators::Operators;
use crate::places::Places;
use crate::ports::{Payments, Serving};
use crate::prepaid::Prepaid;
use crate::quotes::Quotes;
use crate::signals::Signals;
use crate::store::{JobRecord, jobs};
use crate::tasks::write_ledger::LedgerHandle;

pub use account_service::Accounts;
pub use admin_service::Admin;

/// Answers the gateway's calls. Cloned freely.
#[derive(Clone)]
pub struct Gateway {
    /// Makes quotes.
    pub quotes: Quotes,
    /// Runs prepaid jobs.
    pub prepaid: Prepaid,
    /// Makes deposits.
    pub deposits: Deposits,
    /// Lets customers in.
    pub access: Access,
    /// Who operates this gateway.
    pub operators: Operators,
    /// What operators have stopped.
    pub brakes: Brakes,
    /// Writes to the ledger.
    pub ledger: LedgerHandle<JobRow>,
    /// Changes jobs.
    pub jobs: Jobs,
    /// The gateway's keys.
    pub keys: Keys,
    /// Lists models.
    pub serving: Arc<dyn Serving>,
    /// Describes the node.
    pub payments: Arc<dyn Payments>,
    /// Proves receipts.
    pub log: Log,
    /// Tells when jobs change.
    pub signals: Signals,
    /// The header in which a proxy names the caller's address.
    pub payer_header: Option<String>,
    /// Places of open streams.
    pub places: Places,
    /// Ends open streams.
    pub shutdown: Shutdown,
}

impl Gateway {
    /// Whom the network names as the caller: the connection, or what the proxy in front of us says in its header. None within one
    /// process.
    fn payer_address<T>(&self, request: &Request<T>) -> Option<IpAddr> {
        let Some(header) = &self.payer_header else { return Some(request.remote_addr()?.ip()) };
        // The last one is our own proxy's word; those before it are the caller's.
        let value = request.metadata().get(header.as_str())?.to_str().ok()?;
        value.rsplit(',').next()?.trim().parse().ok()
    }

    /// Finds the job that a key names and opens. A wrong token costs the same work and answers the same as no job.
    async fn open(&self, key: Option<pb::JobKey>) -> Result<JobRecord, JobError> {
        let key = key.unwrap_or_default();
        // A malformed id or token opens nothing: it is looked up as one that nobody has.
        let job_id: JobId = key.job_id.parse().unwrap_or(JobId::new(uuid::Uuid::max()));
        let token = JobToken::try_from(key.job_token.as_slice());
        let record = jobs::by_id(self.jobs.store().pool(), job_id).await?;
        let stored = record.as_ref().map(|record| record.token_hash);
        let presented = token.unwrap_or(JobToken::new([0; 16]));
        let opens = token_opens(&presented, stored.as_ref()) && token.is_ok();
        record.filter(|_| opens).ok_or(JobError::NotFound)
    }
}

#[tonic::async_trait]
impl GatewayService for Gateway {
    type WatchJobStream = watch_job::JobStream;

    async fn get_info(
        &self,
        _request: Request<pb::GetInfoRequest>,
    ) -> Result<Response<pb::GetInfoResponse>, Status> {
        Ok(Response::new(get_info::get_info(self).await?))
    }

    async fn list_models(
        &self,
        _request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        Ok(Response::new(list_models::list_models(self).await?))
    }

    async fn create_quote(
        &self,
        request: Request<pb::CreateQuoteRequest>,
    ) -> Result<Response<pb::CreateQuoteResponse>, Status> {
        let payer = self.payer_address(&request);
        Ok(Response::new(create_quote::create_quote(self, payer, request.into_inner()).await?))
    }

    async fn get_job(
        &self,
        request: Request<pb::GetJobRequest>,
    ) -> Result<Response<pb::GetJobResponse>, Status> {
        Ok(Response::new(get_job::get_job(self, request.into_inner()).await?))
    }

    async fn watch_job(
        &self,
        request: Request<pb::WatchJobRequest>,
    ) -> Result<Response<Self::WatchJobStream>, Status> {
        Ok(Response::new(watch_job::watch_job(self, request.into_inner()).await?))
    }

    async fn cancel_job(
        &self,
        request: Request<pb::CancelJobRequest>,
    ) -> Result<Response<pb::CancelJobResponse>, Status> {
        Ok(Response::new(cancel_job::cancel_job(self, request.into_inner()).await?))
    }

    async fn get_result(
        &self,
        request: Request<pb::GetResultRequest>,
    ) -> Result<Response<pb::GetResultResponse>, Status> {
        Ok(Response::new(get_result::get_result(self, request.into_inner()).await?))
    }

    async fn acknowledge_result(
        &self,
        request: Request<pb::AcknowledgeResultRequest>,
    ) -> Result<Response<pb::AcknowledgeResultResponse>, Status> {
        Ok(Response::new(acknowledge_result::acknowledge_result(self, request.into_inner()).await?))
    }

    async fn get_receipt(
        &self,
        request: Request<pb::GetReceiptRequest>,
    ) -> Result<Response<pb::GetReceiptResponse>, Status> {
        Ok(Response::new(get_receipt::get_receipt(self, request.into_inner()).await?))
    }
}

/// What every call answers.
type Answer<T> = Result<T, Failure>;
