//! The payment service: a Lightning node behind durable rows.

mod types;

use ailayer_platform::client::{ClientConfig, ClientError, GrpcChannel, channel, stream_channel};
use ailayer_primitives::{AmountMsat, Digest, PaymentHash};
use ailayer_proto::ailayer::payment::v1 as pb;
use ailayer_seal::{ResultKey, SharedSecret};
use futures::stream::{BoxStream, StreamExt as _};
use pb::payment_service_client::PaymentServiceClient;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use pb::{
    Channel, CompareFundsResponse as Funds, GetBalancesResponse as Balances, GetJournalResponse as Journal,
    HoldInvoiceState, OpenChannelRequest, PaymentState,
};
pub use types::{BlockRef, EventKind, HoldInvoice, Node, Payment, PaymentEvent, UnexpectedReceipt};

use crate::error::refused;
use crate::wire::Reader;
use crate::{CallError, MAX_ANSWER_BYTES};

const SERVICE: &str = "payment";
const READ: Reader = Reader(SERVICE);

/// Calls the payment service.
#[derive(Clone, Debug)]
pub struct PaymentClient {
    unary: PaymentServiceClient<GrpcChannel>,
    streaming: PaymentServiceClient<GrpcChannel>,
}

impl PaymentClient {
    /// Prepares the client; the connection comes up at the first call.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let limited =
            |channel| PaymentServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { unary: limited(channel(config)?), streaming: limited(stream_channel(config)?) })
    }

    /// Describes the Lightning node.
    pub async fn node(&self) -> Result<Node, CallError> {
        let answer = self.unary.clone().get_node(pb::GetNodeRequest {}).await.map_err(refused(SERVICE))?;
        Node::read(answer.into_inner())
    }

    /// Tells what the node owns.
    pub async fn balances(&self) -> Result<Balances, CallError> {
        let answer = self.unary.clone().get_balances(pb::GetBalancesRequest {}).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner())
    }

    /// Sums up everything that ever came in and went out, as of one event.
    pub async fn journal(&self) -> Result<Journal, CallError> {
        let answer = self.unary.clone().get_journal(pb::GetJournalRequest {}).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner())
    }

    /// Compares what the node's channels hold with what the service's rows say.
    pub async fn compare_funds(&self) -> Result<Funds, CallError> {
        let answer = self.unary.clone().compare_funds(pb::CompareFundsRequest {}).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner())
    }

    /// Accepts exactly this residue of [`Self::compare_funds`], for good.
    pub async fn accept_funds_residue(&self, residue_msat: i64, note: String) -> Result<(), CallError> {
        let request = pb::AcceptFundsResidueRequest { residue_msat, note };
        self.unary.clone().accept_funds_residue(request).await.map_err(refused(SERVICE))?;
        Ok(())
    }

    /// Makes a fresh on-chain address of the node's wallet.
    pub async fn create_address(&self) -> Result<String, CallError> {
        let answer = self.unary.clone().create_address(pb::CreateAddressRequest {}).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner().address)
    }

    /// Opens a channel; answers its local id. Idempotent by the request's id.
    pub async fn open_channel(&self, request: OpenChannelRequest) -> Result<[u8; 16], CallError> {
        let answer = self.unary.clone().open_channel(request).await.map_err(refused(SERVICE))?;
        READ.bytes("user_channel_id", &answer.into_inner().user_channel_id)
    }

    /// Lists the channels that are not closed.
    pub async fn list_channels(&self) -> Result<Vec<Channel>, CallError> {
        let answer = self.unary.clone().list_channels(pb::ListChannelsRequest {}).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner().channels)
    }

    /// Creates a hold invoice that commits to `description_hash`; a repeat answers what is stored.
    pub async fn create_hold_invoice(
        &self,
        invoice_id: Uuid,
        amount: AmountMsat,
        description_hash: Digest,
        expiry_s: u32,
    ) -> Result<HoldInvoice, CallError> {
        let request = pb::CreateHoldInvoiceRequest {
            invoice_id: invoice_id.to_string(),
            amount_msat: amount.msat(),
            description_hash: description_hash.to_vec(),
            expiry_s,
        };
        let answer = self.unary.clone().create_hold_invoice(request).await.map_err(refused(SERVICE))?;
        HoldInvoice::required(answer.into_inner().invoice)
    }

    /// Looks a hold invoice up by its id.
    pub async fn hold_invoice(&self, invoice_id: Uuid) -> Result<HoldInvoice, CallError> {
        let name = pb::get_hold_invoice_request::Name::InvoiceId(invoice_id.to_string());
        self.look_up(name).await
    }

    /// Looks a hold invoice up by its payment hash.
    pub async fn hold_invoice_by_hash(&self, payment_hash: PaymentHash) -> Result<HoldInvoice, CallError> {
        let name = pb::get_hold_invoice_request::Name::PaymentHash(payment_hash.0.to_vec());
        self.look_up(name).await
    }

    async fn look_up(&self, name: pb::get_hold_invoice_request::Name) -> Result<HoldInvoice, CallError> {
        let request = pb::GetHoldInvoiceRequest { name: Some(name) };
        let answer = self.unary.clone().get_hold_invoice(request).await.map_err(refused(SERVICE))?;
        HoldInvoice::required(answer.into_inner().invoice)
    }

    /// Derives the key of a sealed answer from the preimage of an invoice that holds money.
    pub async fn derive_seal_key(
        &self,
        invoice_id: Uuid,
        shared: &SharedSecret,
    ) -> Result<ResultKey, CallError> {
        let request = pb::DeriveSealKeyRequest {
            invoice_id: invoice_id.to_string(),
            shared_secret: shared.expose().to_vec(),
        };
        let answer = self.unary.clone().derive_seal_key(request).await.map_err(refused(SERVICE))?;
        let seal_key = Zeroizing::new(answer.into_inner().seal_key);
        Ok(ResultKey::new(Zeroizing::new(READ.bytes("seal_key", &seal_key)?)))
    }

    /// Asks to take the locked money. Idempotent; the event says when it is taken.
    pub async fn claim_hold_invoice(&self, invoice_id: Uuid) -> Result<HoldInvoice, CallError> {
        let request = pb::ClaimHoldInvoiceRequest { invoice_id: invoice_id.to_string() };
        let answer = self.unary.clone().claim_hold_invoice(request).await.map_err(refused(SERVICE))?;
        HoldInvoice::required(answer.into_inner().invoice)
    }

    /// Asks to give locked money back, now and whenever more comes. Idempotent.
    pub async fn release_hold_invoice(
        &self,
        invoice_id: Uuid,
        reason: &str,
    ) -> Result<HoldInvoice, CallError> {
        let request =
            pb::ReleaseHoldInvoiceRequest { invoice_id: invoice_id.to_string(), reason: reason.to_owned() };
        let answer = self.unary.clone().release_hold_invoice(request).await.map_err(refused(SERVICE))?;
        HoldInvoice::required(answer.into_inner().invoice)
    }

    /// Pays an invoice of at most `max_amount`; follow [`Self::payment`]. Idempotent by the payment hash.
    pub async fn pay_invoice(&self, bolt11: &str, max_amount: AmountMsat) -> Result<Payment, CallError> {
        let request = pb::PayInvoiceRequest { bolt11: bolt11.to_owned(), max_amount_msat: max_amount.msat() };
        let answer = self.unary.clone().pay_invoice(request).await.map_err(refused(SERVICE))?;
        Payment::required(answer.into_inner().payment)
    }

    /// Looks an outgoing payment up.
    pub async fn payment(&self, payment_hash: PaymentHash) -> Result<Payment, CallError> {
        let request = pb::GetPaymentRequest { payment_hash: payment_hash.0.to_vec() };
        let answer = self.unary.clone().get_payment(request).await.map_err(refused(SERVICE))?;
        Payment::required(answer.into_inner().payment)
    }

    /// Streams the event log from after a cursor, without an end. Resume from the last cursor handled.
    pub async fn watch_events(
        &self,
        after_cursor: u64,
    ) -> Result<BoxStream<'static, Result<PaymentEvent, CallError>>, CallError> {
        let request = pb::WatchEventsRequest { after_cursor };
        let answer = self.streaming.clone().watch_events(request).await.map_err(refused(SERVICE))?;
        let events = answer.into_inner().map(|event| PaymentEvent::read(event.map_err(refused(SERVICE))?));
        Ok(events.boxed())
    }
}
