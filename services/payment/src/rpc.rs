//! The wire: one file a call. Requests become domain types here, once.

use std::sync::Arc;

use ailayer_proto::ailayer::payment::v1::payment_service_server::{PaymentService, PaymentServiceServer};
use ailayer_proto::ailayer::payment::v1::{self as pb};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::app::App;

mod accept_funds_residue;
mod claim_hold_invoice;
mod compare_funds;
mod convert;
mod create_address;
mod create_hold_invoice;
mod derive_seal_key;
pub mod event_codec;
mod get_balances;
mod get_hold_invoice;
mod get_journal;
mod get_node;
mod get_payment;
mod list_channels;
mod open_channel;
mod pay_invoice;
mod release_hold_invoice;
mod watch_events;

/// The name health checks ask for.
pub const SERVICE_NAME: &str = ailayer_proto::ailayer::payment::v1::payment_service_server::SERVICE_NAME;

/// The largest request: a BOLT 11 text is a few kilobytes at most.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Serves `ailayer.payment.v1.PaymentService`.
pub struct Handler {
    app: Arc<App>,
}

impl Handler {
    /// A handler over a running service.
    pub const fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

/// The service's routes.
pub fn routes(app: Arc<App>) -> Routes {
    Routes::new(PaymentServiceServer::new(Handler::new(app)).max_decoding_message_size(MAX_REQUEST_BYTES))
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl PaymentService for Handler {
    async fn get_node(&self, _: Request<pb::GetNodeRequest>) -> Answer<pb::GetNodeResponse> {
        get_node::handle(&self.app).await.map(Response::new).map_err(Status::from)
    }

    async fn get_balances(&self, _: Request<pb::GetBalancesRequest>) -> Answer<pb::GetBalancesResponse> {
        get_balances::handle(&self.app).await.map(Response::new).map_err(Status::from)
    }

    async fn get_journal(&self, _: Request<pb::GetJournalRequest>) -> Answer<pb::GetJournalResponse> {
        get_journal::handle(&self.app).await.map(Response::new).map_err(Status::from)
    }

    async fn compare_funds(&self, _: Request<pb::CompareFundsRequest>) -> Answer<pb::CompareFundsResponse> {
        compare_funds::handle(&self.app).await.map(Response::new).map_err(Status::from)
    }

    async fn accept_funds_residue(
        &self,
        request: Request<pb::AcceptFundsResidueRequest>,
    ) -> Answer<pb::AcceptFundsResidueResponse> {
        let answer = accept_funds_residue::handle(&self.app, &request.into_inner()).await;
        answer.map(Response::new).map_err(Status::from)
    }

    async fn create_address(
        &self,
        _: Request<pb::CreateAddressRequest>,
    ) -> Answer<pb::CreateAddressResponse> {
        create_address::handle(&self.app).await.map(Response::new).map_err(Status::from)
    }

    async fn open_channel(
        &self,
        request: Request<pb::OpenChannelRequest>,
    ) -> Answer<pb::OpenChannelResponse> {
        open_channel::handle(&self.app, request.into_inner()).await.map(Response::new).map_err(Status::from)
    }

    async fn list_channels(&self, _: Request<pb::ListChannelsRequest>) -> Answer<pb::ListChannelsResponse> {
        list_channels::handle(&self.app).await.map(Response::new).map_err(Status::from)
    }

    async fn create_hold_invoice(
        &self,
        request: Request<pb::CreateHoldInvoiceRequest>,
    ) -> Answer<pb::CreateHoldInvoiceResponse> {
        let answer = create_hold_invoice::handle(&self.app, request.into_inner()).await;
        answer.map(Response::new).map_err(Status::from)
    }

    async fn get_hold_invoice(
        &self,
        request: Request<pb::GetHoldInvoiceRequest>,
    ) -> Answer<pb::GetHoldInvoiceResponse> {
        let answer = get_hold_invoice::handle(&self.app, request.into_inner()).await;
        answer.map(Response::new).map_err(Status::from)
    }

    async fn claim_hold_invoice(
        &self,
        request: Request<pb::ClaimHoldInvoiceRequest>,
    ) -> Answer<pb::ClaimHoldInvoiceResponse> {
        let answer = claim_hold_invoice::handle(&self.app, &request.into_inner()).await;
        answer.map(Response::new).map_err(Status::from)
    }

    async fn release_hold_invoice(
        &self,
        request: Request<pb::ReleaseHoldInvoiceRequest>,
    ) -> Answer<pb::ReleaseHoldInvoiceResponse> {
        let answer = release_hold_invoice::handle(&self.app, &request.into_inner()).await;
        answer.map(Response::new).map_err(Status::from)
    }

    async fn derive_seal_key(
        &self,
        request: Request<pb::DeriveSealKeyRequest>,
    ) -> Answer<pb::DeriveSealKeyResponse> {
        let answer = derive_seal_key::handle(&self.app, request.into_inner()).await;
        answer.map(Response::new).map_err(Status::from)
    }

    async fn pay_invoice(&self, request: Request<pb::PayInvoiceRequest>) -> Answer<pb::PayInvoiceResponse> {
        pay_invoice::handle(&self.app, &request.into_inner()).await.map(Response::new).map_err(Status::from)
    }

    async fn get_payment(&self, request: Request<pb::GetPaymentRequest>) -> Answer<pb::GetPaymentResponse> {
        get_payment::handle(&self.app, &request.into_inner()).await.map(Response::new).map_err(Status::from)
    }

    type WatchEventsStream = watch_events::EventStream;

    async fn watch_events(
        &self,
        request: Request<pb::WatchEventsRequest>,
    ) -> Answer<Self::WatchEventsStream> {
        let stream = watch_events::handle(&self.app, &request.into_inner()).await;
        stream.map(Response::new).map_err(Status::from)
    }
}
