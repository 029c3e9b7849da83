//! `AccountService`: what a customer with a key does. One file a call.

mod get_account;
mod list_jobs;
mod list_statement;
mod run_job;

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::account_service_server::AccountService;
use tonic::{Request, Response, Status};

use super::Gateway;
use super::export_statement::{self, Parts};
use crate::domain::api_key::{Caller, Scope};

pub(super) use get_account::account as account_to_proto;

/// Answers the calls of customers. Cloned freely.
#[derive(Clone)]
pub struct Accounts(pub Gateway);

impl Accounts {
    async fn caller<T>(&self, request: &Request<T>, scope: Scope) -> Result<Caller, Failure> {
        Ok(self.0.access.caller(request.metadata(), scope).await?)
    }
}

#[tonic::async_trait]
impl AccountService for Accounts {
    type ExportStatementStream = Parts<pb::ExportStatementResponse>;

    async fn get_account(
        &self,
        request: Request<pb::GetAccountRequest>,
    ) -> Result<Response<pb::GetAccountResponse>, Status> {
        let caller = self.caller(&request, Scope::Read).await?;
        Ok(Response::new(get_account::get_account(&self.0, &caller).await?))
    }

    async fn list_statement(
        &self,
        request: Request<pb::ListStatementRequest>,
    ) -> Result<Response<pb::ListStatementResponse>, Status> {
        let caller = self.caller(&request, Scope::Read).await?;
        Ok(Response::new(list_statement::list_statement(&self.0, &caller, request.into_inner()).await?))
    }

    async fn export_statement(
        &self,
        request: Request<pb::ExportStatementRequest>,
    ) -> Result<Response<Self::ExportStatementStream>, Status> {
        let caller = self.caller(&request, Scope::Read).await?;
        Ok(Response::new(export_statement::of_caller(&self.0, &caller, request.get_ref())?))
    }

    async fn create_deposit(
        &self,
        request: Request<pb::CreateDepositRequest>,
    ) -> Result<Response<pb::CreateDepositResponse>, Status> {
        let caller = self.caller(&request, Scope::Fund).await?;
        Ok(Response::new(super::deposits::create_deposit(&self.0, &caller, request.into_inner()).await?))
    }

    async fn get_deposit(
        &self,
        request: Request<pb::GetDepositRequest>,
    ) -> Result<Response<pb::GetDepositResponse>, Status> {
        let caller = self.caller(&request, Scope::Read).await?;
        Ok(Response::new(super::deposits::get_deposit(&self.0, &caller, request.into_inner()).await?))
    }

    async fn run_job(
        &self,
        request: Request<pb::RunJobRequest>,
    ) -> Result<Response<pb::RunJobResponse>, Status> {
        let caller = self.caller(&request, Scope::Run).await?;
        Ok(Response::new(run_job::run_job(&self.0, &caller, request.into_inner()).await?))
    }

    async fn list_jobs(
        &self,
        request: Request<pb::ListJobsRequest>,
    ) -> Result<Response<pb::ListJobsResponse>, Status> {
        let caller = self.caller(&request, Scope::Read).await?;
        Ok(Response::new(list_jobs::list_jobs(&self.0, &caller, request.into_inner()).await?))
    }
}
