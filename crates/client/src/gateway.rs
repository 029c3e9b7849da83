//! The gateway, as a buyer sees it.

mod types;

use ailayer_platform::client::{ClientConfig, ClientError, GrpcChannel, channel, stream_channel};
use ailayer_platform::convert::network_to_proto;
use ailayer_primitives::Digest;
use ailayer_proto::ailayer::gateway::v1 as pb;
use futures::stream::{BoxStream, StreamExt as _};
use pb::gateway_service_client::GatewayServiceClient;

pub use pb::{JobState, ReceiptPromise};
pub use types::{Answer, Job, JobKey, ModelOffer, Offer, Order, Output, ReceiptStatus, Row, Seller, Task};
pub(crate) use types::{rows, tensors};

use crate::error::refused;
use crate::wire::Reader;
use crate::{CallError, MAX_ANSWER_BYTES};

const SERVICE: &str = "gateway";
const READ: Reader = Reader(SERVICE);

/// Calls the gateway.
#[derive(Clone, Debug)]
pub struct GatewayClient {
    unary: GatewayServiceClient<GrpcChannel>,
    streaming: GatewayServiceClient<GrpcChannel>,
}

impl GatewayClient {
    /// Prepares the client; the connection comes up at the first call.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let limited =
            |channel| GatewayServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { unary: limited(channel(config)?), streaming: limited(stream_channel(config)?) })
    }

    /// Describes the seller.
    pub async fn seller(&self) -> Result<Seller, CallError> {
        let answer = self.unary.clone().get_info(pb::GetInfoRequest {}).await.map_err(refused(SERVICE))?;
        Seller::read(answer.into_inner())
    }

    /// Lists what is for sale.
    pub async fn list_models(&self) -> Result<Vec<ModelOffer>, CallError> {
        let answer = self.unary.clone().list_models(pb::ListModelsRequest {}).await;
        let models = answer.map_err(refused(SERVICE))?.into_inner().models;
        models.into_iter().map(ModelOffer::read).collect()
    }

    /// Asks for a quote. Idempotent by the order's request id. Check the offer before paying:
    /// [`crate::purchase::check_offer`].
    pub async fn create_quote(&self, order: &Order) -> Result<Offer, CallError> {
        let request = pb::CreateQuoteRequest {
            request_id: order.request_id.to_string(),
            model_name: order.model_name.clone(),
            model_version: order.model_version.clone(),
            task: Some(order.task.to_quote()),
            network: network_to_proto(order.network) as i32,
            sealed_to: order.sealed_to.map(|key| key.as_bytes().to_vec()).unwrap_or_default(),
        };
        let answer = self.unary.clone().create_quote(request).await.map_err(refused(SERVICE))?;
        Offer::read(answer.into_inner())
    }

    /// Tells where a job stands.
    pub async fn job(&self, key: &JobKey) -> Result<Job, CallError> {
        let request = pb::GetJobRequest { key: Some(key.to_proto()) };
        let answer = self.unary.clone().get_job(request).await.map_err(refused(SERVICE))?;
        Job::required(answer.into_inner().job)
    }

    /// Streams a job each time its state changes, the present state first; ends after a terminal state.
    pub async fn watch_job(
        &self,
        key: &JobKey,
    ) -> Result<BoxStream<'static, Result<Job, CallError>>, CallError> {
        let request = pb::WatchJobRequest { key: Some(key.to_proto()) };
        let answer = self.streaming.clone().watch_job(request).await.map_err(refused(SERVICE))?;
        let jobs = answer.into_inner().map(|change| Job::required(change.map_err(refused(SERVICE))?.job));
        Ok(jobs.boxed())
    }

    /// Gives a job up.
    pub async fn cancel_job(&self, key: &JobKey) -> Result<Job, CallError> {
        let request = pb::CancelJobRequest { key: Some(key.to_proto()) };
        let answer = self.unary.clone().cancel_job(request).await.map_err(refused(SERVICE))?;
        Job::required(answer.into_inner().job)
    }

    /// Fetches the answer of a settled job. Check it: [`crate::purchase::check_answer`].
    pub async fn result(&self, key: &JobKey) -> Result<Answer, CallError> {
        let request = pb::GetResultRequest { key: Some(key.to_proto()) };
        let answer = self.unary.clone().get_result(request).await.map_err(refused(SERVICE))?.into_inner();
        Answer::read(answer)
    }

    /// Fetches the ciphertext of a sealed job, as soon as its receipt is in the log. Check it before it is acknowledged:
    /// [`crate::purchase::check_sealed`].
    pub async fn sealed_result(&self, key: &JobKey) -> Result<Vec<u8>, CallError> {
        let request = pb::GetResultRequest { key: Some(key.to_proto()) };
        let answer = self.unary.clone().get_result(request).await.map_err(refused(SERVICE))?.into_inner();
        match READ.required("result", answer.result)? {
            pb::get_result_response::Result::Sealed(ciphertext) => Ok(ciphertext),
            _ => Err(CallError::malformed(SERVICE, "an answer in place of a ciphertext")),
        }
    }

    /// Says that the ciphertext with this SHA-256 was received: the money may be taken. Idempotent.
    pub async fn acknowledge_result(&self, key: &JobKey, sealed_digest: Digest) -> Result<Job, CallError> {
        let request =
            pb::AcknowledgeResultRequest { key: Some(key.to_proto()), sealed_digest: sealed_digest.to_vec() };
        let answer = self.unary.clone().acknowledge_result(request).await.map_err(refused(SERVICE))?;
        Job::required(answer.into_inner().job)
    }

    /// Fetches the receipt and how far it has come.
    pub async fn receipt(&self, key: &JobKey) -> Result<ReceiptStatus, CallError> {
        let request = pb::GetReceiptRequest { key: Some(key.to_proto()) };
        let answer = self.unary.clone().get_receipt(request).await.map_err(refused(SERVICE))?.into_inner();
        let present = |text: String| if text.is_empty() { None } else { Some(text) };
        Ok(ReceiptStatus {
            receipt: answer.receipt,
            closing: present(answer.closing),
            promise: READ.variant("receipt promise", answer.promise)?,
            bundle: present(answer.bundle),
        })
    }
}
