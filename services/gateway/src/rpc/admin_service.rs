//! `AdminService`: what an operator does. One file a topic.

mod accounts;
mod adjustments;
mod brakes;
mod keys;
mod prices;
mod reconcile;
mod suspense;

use ailayer_platform::error::Failure;
use ailayer_proto::ailayer::gateway::v1 as pb;
use pb::admin_service_server::AdminService;
use tonic::{Request, Response, Status};

use super::Gateway;
use super::export_statement::{self, Parts};

/// The longest remark.
const MAX_NOTE_BYTES: usize = 256;

/// Answers the calls of operators. Cloned freely.
#[derive(Clone)]
pub struct Admin(pub Gateway);

/// Finds the operator, calls the handler, and wraps what it answers.
macro_rules! call {
    ($self:ident, $request:ident, $handler:path) => {{
        let operator = $self.0.operators.caller($request.metadata()).map_err(Failure::from)?;
        Ok(Response::new($handler(&$self.0, &operator, $request.into_inner()).await?))
    }};
}

#[tonic::async_trait]
impl AdminService for Admin {
    type ExportAccountStatementStream = Parts<pb::ExportAccountStatementResponse>;

    async fn create_account(
        &self,
        request: Request<pb::CreateAccountRequest>,
    ) -> Result<Response<pb::CreateAccountResponse>, Status> {
        call!(self, request, accounts::create)
    }

    async fn list_accounts(
        &self,
        request: Request<pb::ListAccountsRequest>,
    ) -> Result<Response<pb::ListAccountsResponse>, Status> {
        call!(self, request, accounts::list)
    }

    async fn freeze_account(
        &self,
        request: Request<pb::FreezeAccountRequest>,
    ) -> Result<Response<pb::FreezeAccountResponse>, Status> {
        call!(self, request, accounts::freeze)
    }

    async fn unfreeze_account(
        &self,
        request: Request<pb::UnfreezeAccountRequest>,
    ) -> Result<Response<pb::UnfreezeAccountResponse>, Status> {
        call!(self, request, accounts::unfreeze)
    }

    async fn set_account_limits(
        &self,
        request: Request<pb::SetAccountLimitsRequest>,
    ) -> Result<Response<pb::SetAccountLimitsResponse>, Status> {
        call!(self, request, accounts::set_limits)
    }

    async fn export_account_statement(
        &self,
        request: Request<pb::ExportAccountStatementRequest>,
    ) -> Result<Response<Self::ExportAccountStatementStream>, Status> {
        call!(self, request, export_statement::of_account)
    }

    async fn create_api_key(
        &self,
        request: Request<pb::CreateApiKeyRequest>,
    ) -> Result<Response<pb::CreateApiKeyResponse>, Status> {
        call!(self, request, keys::create)
    }

    async fn list_api_keys(
        &self,
        request: Request<pb::ListApiKeysRequest>,
    ) -> Result<Response<pb::ListApiKeysResponse>, Status> {
        call!(self, request, keys::list)
    }

    async fn revoke_api_key(
        &self,
        request: Request<pb::RevokeApiKeyRequest>,
    ) -> Result<Response<pb::RevokeApiKeyResponse>, Status> {
        call!(self, request, keys::revoke)
    }

    async fn set_price(
        &self,
        request: Request<pb::SetPriceRequest>,
    ) -> Result<Response<pb::SetPriceResponse>, Status> {
        call!(self, request, prices::set)
    }

    async fn remove_price(
        &self,
        request: Request<pb::RemovePriceRequest>,
    ) -> Result<Response<pb::RemovePriceResponse>, Status> {
        call!(self, request, prices::remove)
    }

    async fn list_prices(
        &self,
        request: Request<pb::ListPricesRequest>,
    ) -> Result<Response<pb::ListPricesResponse>, Status> {
        call!(self, request, prices::list)
    }

    async fn list_brakes(
        &self,
        request: Request<pb::ListBrakesRequest>,
    ) -> Result<Response<pb::ListBrakesResponse>, Status> {
        call!(self, request, brakes::list)
    }

    async fn set_brake(
        &self,
        request: Request<pb::SetBrakeRequest>,
    ) -> Result<Response<pb::SetBrakeResponse>, Status> {
        call!(self, request, brakes::set)
    }

    async fn propose_adjustment(
        &self,
        request: Request<pb::ProposeAdjustmentRequest>,
    ) -> Result<Response<pb::ProposeAdjustmentResponse>, Status> {
        call!(self, request, adjustments::propose)
    }

    async fn approve_adjustment(
        &self,
        request: Request<pb::ApproveAdjustmentRequest>,
    ) -> Result<Response<pb::ApproveAdjustmentResponse>, Status> {
        call!(self, request, adjustments::approve)
    }

    async fn list_adjustments(
        &self,
        request: Request<pb::ListAdjustmentsRequest>,
    ) -> Result<Response<pb::ListAdjustmentsResponse>, Status> {
        call!(self, request, adjustments::list)
    }

    async fn list_suspense(
        &self,
        request: Request<pb::ListSuspenseRequest>,
    ) -> Result<Response<pb::ListSuspenseResponse>, Status> {
        call!(self, request, suspense::list)
    }

    async fn resolve_suspense(
        &self,
        request: Request<pb::ResolveSuspenseRequest>,
    ) -> Result<Response<pb::ResolveSuspenseResponse>, Status> {
        call!(self, request, suspense::resolve)
    }

    async fn reconcile(
        &self,
        request: Request<pb::ReconcileRequest>,
    ) -> Result<Response<pb::ReconcileResponse>, Status> {
        call!(self, request, reconcile::reconcile)
    }

    async fn accept_node_residue(
        &self,
        request: Request<pb::AcceptNodeResidueRequest>,
    ) -> Result<Response<pb::AcceptNodeResidueResponse>, Status> {
        call!(self, request, reconcile::accept)
    }

    async fn explain_payments(
        &self,
        request: Request<pb::ExplainPaymentsRequest>,
    ) -> Result<Response<pb::ExplainPaymentsResponse>, Status> {
        call!(self, request, reconcile::explain)
    }
}

/// A remark: printable, bounded.
fn note(text: String) -> Result<String, Failure> {
    if text.len() > MAX_NOTE_BYTES || text.chars().any(char::is_control) {
        let message = format!("must be at most {MAX_NOTE_BYTES} bytes without control characters");
        return Err(Failure::invalid_field("note", message));
    }
    Ok(text)
}

/// A remark that must say something.
fn reason(text: String) -> Result<String, Failure> {
    if text.trim().is_empty() { Err(Failure::invalid_field("note", "must say why")) } else { note(text) }
}
