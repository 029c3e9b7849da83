//! The gateway, as an operator sees it. Messages are those of the proto: nothing here decides anything.

use ailayer_platform::client::{ClientConfig, ClientError, GrpcChannel, channel, stream_channel};
use ailayer_proto::ailayer::gateway::v1 as pb;
use futures::stream::{BoxStream, StreamExt as _};
use pb::admin_service_client::AdminServiceClient;

pub use pb::{
    Account, AccountLimits, Adjustment, AdjustmentSubject, ApiKey, Brake, CreateAccountRequest,
    CreateApiKeyRequest, ExportAccountStatementRequest, Finding, FreezeAccountRequest, KeyTerms, NodeFunds,
    Price, ProposeAdjustmentRequest, ReconcileResponse, SetAccountLimitsRequest, SuspenseItem,
    UnfreezeAccountRequest,
};

use crate::bearer::Bearer;
use crate::error::refused;
use crate::wire::Reader;
use crate::{CallError, MAX_ANSWER_BYTES};

const SERVICE: &str = "gateway";
const READ: Reader = Reader(SERVICE);
/// Entries of one page.
const PAGE: u32 = 1000;

/// Calls the gateway with an operator's key.
#[derive(Clone, Debug)]
pub struct AdminClient {
    unary: AdminServiceClient<GrpcChannel>,
    streaming: AdminServiceClient<GrpcChannel>,
    key: Bearer,
}

/// One call: the key in its header, its refusal as an error.
macro_rules! call {
    ($self:ident.$method:ident($request:expr)) => {{
        let request = $self.key.request($request, SERVICE)?;
        $self.unary.clone().$method(request).await.map_err(refused(SERVICE))?.into_inner()
    }};
}

/// Every page of a list. The request is made anew for each, from the token of the page before.
macro_rules! every_page {
    ($self:ident.$method:ident(|$token:ident| $request:expr).$entries:ident) => {{
        let (mut all, mut $token) = (Vec::new(), String::new());
        loop {
            let page = call!($self.$method($request));
            all.extend(page.$entries);
            $token = page.next_page_token;
            if $token.is_empty() {
                return Ok(all);
            }
        }
    }};
}

impl AdminClient {
    /// Prepares the client; the connection comes up at the first call.
    pub fn new(config: &ClientConfig, key: &str) -> Result<Self, ClientError> {
        let limited = |channel| AdminServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        let (unary, streaming) = (limited(channel(config)?), limited(stream_channel(config)?));
        Ok(Self { unary, streaming, key: Bearer::new(key) })
    }

    /// Opens an account. Idempotent by the request id.
    pub async fn create_account(&self, request: pb::CreateAccountRequest) -> Result<Account, CallError> {
        READ.required("account", call!(self.create_account(request)).account)
    }

    /// Every account.
    pub async fn accounts(&self) -> Result<Vec<Account>, CallError> {
        every_page!(
            self.list_accounts(|page_token| pb::ListAccountsRequest { page_size: PAGE, page_token }).accounts
        )
    }

    /// Freezes an account. Idempotent by the request id.
    pub async fn freeze(&self, request: pb::FreezeAccountRequest) -> Result<Account, CallError> {
        READ.required("account", call!(self.freeze_account(request)).account)
    }

    /// Undoes a freeze. Idempotent by the request id.
    pub async fn unfreeze(&self, request: pb::UnfreezeAccountRequest) -> Result<Account, CallError> {
        READ.required("account", call!(self.unfreeze_account(request)).account)
    }

    /// Sets what all keys of an account together may do.
    pub async fn set_limits(&self, request: pb::SetAccountLimitsRequest) -> Result<Account, CallError> {
        READ.required("account", call!(self.set_account_limits(request)).account)
    }

    /// An account's movements as a file, in parts of whole lines. Whole if the last part is not an error.
    pub async fn export_statement(
        &self,
        request: pb::ExportAccountStatementRequest,
    ) -> Result<BoxStream<'static, Result<String, CallError>>, CallError> {
        let request = self.key.request(request, SERVICE)?;
        let answer = self.streaming.clone().export_account_statement(request).await;
        let parts = answer.map_err(refused(SERVICE))?.into_inner();
        Ok(parts.map(|part| Ok(part.map_err(refused(SERVICE))?.text)).boxed())
    }

    /// Makes a key; answers it with its text.
    pub async fn create_key(&self, request: pb::CreateApiKeyRequest) -> Result<(ApiKey, String), CallError> {
        let made = call!(self.create_api_key(request));
        Ok((READ.required("key", made.key)?, made.secret))
    }

    /// The keys of an account.
    pub async fn keys(&self, account_id: String) -> Result<Vec<ApiKey>, CallError> {
        every_page!(
            self.list_api_keys(|page_token| pb::ListApiKeysRequest {
                account_id: account_id.clone(),
                page_size: PAGE,
                page_token,
            })
            .keys
        )
    }

    /// Revokes a key.
    pub async fn revoke_key(&self, key_id: String) -> Result<ApiKey, CallError> {
        READ.required("key", call!(self.revoke_api_key(pb::RevokeApiKeyRequest { key_id })).key)
    }

    /// Sets a price.
    pub async fn set_price(&self, price: Price) -> Result<Price, CallError> {
        READ.required("price", call!(self.set_price(pb::SetPriceRequest { price: Some(price) })).price)
    }

    /// Forgets a price that was set; answers the one in force.
    pub async fn remove_price(&self, model_name: String) -> Result<Option<Price>, CallError> {
        Ok(call!(self.remove_price(pb::RemovePriceRequest { model_name })).price)
    }

    /// All prices in force.
    pub async fn prices(&self) -> Result<Vec<Price>, CallError> {
        Ok(call!(self.list_prices(pb::ListPricesRequest {})).prices)
    }

    /// All brakes.
    pub async fn brakes(&self) -> Result<Vec<Brake>, CallError> {
        Ok(call!(self.list_brakes(pb::ListBrakesRequest {})).brakes)
    }

    /// Puts a brake on or takes it off.
    pub async fn set_brake(&self, name: String, engaged: bool, note: String) -> Result<Brake, CallError> {
        READ.required("brake", call!(self.set_brake(pb::SetBrakeRequest { name, engaged, note })).brake)
    }

    /// Proposes a correction. Idempotent by the request id.
    pub async fn propose(&self, request: pb::ProposeAdjustmentRequest) -> Result<Adjustment, CallError> {
        READ.required("adjustment", call!(self.propose_adjustment(request)).adjustment)
    }

    /// Approves and applies a correction.
    pub async fn approve(&self, adjustment_id: String) -> Result<Adjustment, CallError> {
        let request = pb::ApproveAdjustmentRequest { adjustment_id };
        READ.required("adjustment", call!(self.approve_adjustment(request)).adjustment)
    }

    /// All corrections, the newest first.
    pub async fn adjustments(&self) -> Result<Vec<Adjustment>, CallError> {
        every_page!(
            self.list_adjustments(|page_token| pb::ListAdjustmentsRequest { page_size: PAGE, page_token })
                .adjustments
        )
    }

    /// The suspense queue; with what was resolved, if `all`.
    pub async fn suspense(&self, all: bool) -> Result<Vec<SuspenseItem>, CallError> {
        every_page!(
            self.list_suspense(|page_token| pb::ListSuspenseRequest { all, page_size: PAGE, page_token })
                .items
        )
    }

    /// Gives an item of the suspense queue to an account.
    pub async fn resolve(&self, item_id: String, account_id: String) -> Result<SuspenseItem, CallError> {
        let request = pb::ResolveSuspenseRequest { item_id, account_id };
        READ.required("item", call!(self.resolve_suspense(request)).item)
    }

    /// Compares the books.
    pub async fn reconcile(&self) -> Result<ReconcileResponse, CallError> {
        Ok(call!(self.reconcile(pb::ReconcileRequest {})))
    }

    /// Accepts exactly this residue of the node's channels, for good.
    pub async fn accept_node_residue(&self, residue_msat: i64, note: String) -> Result<(), CallError> {
        let _ = call!(self.accept_node_residue(pb::AcceptNodeResidueRequest { residue_msat, note }));
        Ok(())
    }

    /// Says that the first so many payments without a row have been found out about; answers how many are explained.
    pub async fn explain_payments(&self, payments: u64, note: String) -> Result<u64, CallError> {
        Ok(call!(self.explain_payments(pb::ExplainPaymentsRequest { payments, note })).explained_payments)
    }
}
