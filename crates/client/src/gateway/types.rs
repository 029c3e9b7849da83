//! What the gateway is asked and answers.

use ailayer_primitives::{
    AmountMsat, Digest, JobId, JobToken, Network, PaymentHash, RequestId, UnixMs, UnixS,
};
use ailayer_proto::ailayer::gateway::v1 as pb;
use ailayer_receipt::GatewayKey;
use ailayer_receipt::bundle::Bundle;
use ailayer_receipt::digest::{DigestError, embed_input};
use ailayer_receipt::statement;
use ailayer_receipt::tensor::{Inference, Tensor, TensorSpec, Tensors};
use ailayer_seal::PublicKey;

pub use ailayer_receipt::answer::{Output, Row};

use super::{JobState, READ, ReceiptPromise, SERVICE};
use crate::CallError;
use crate::wire::tensor_spec;

/// The seller, as it announces itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seller {
    /// The network money moves on.
    pub network: Network,
    /// The key that signs quotes and receipts.
    pub gateway_key: GatewayKey,
    /// The audit log's verification key in signed-note form.
    pub log_verification_key: String,
    /// The Lightning node's public key.
    pub node_id: [u8; 33],
    /// Where the Lightning node listens; may be empty.
    pub node_addresses: Vec<String>,
    /// The software version.
    pub version: String,
}

impl Seller {
    pub(super) fn read(info: pb::GetInfoResponse) -> Result<Self, CallError> {
        Ok(Self {
            network: READ.network(info.network)?,
            gateway_key: READ.parse("gateway_key", &info.gateway_key)?,
            log_verification_key: info.log_verification_key,
            node_id: READ.bytes("node_id", &info.node_id)?,
            node_addresses: info.node_addresses,
            version: info.version,
        })
    }
}

/// A model that is for sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOffer {
    /// The model's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The SHA-256 of the model file.
    pub digest: Digest,
    /// What it does: "embedding" or "tensor".
    pub kind: String,
    /// The price of each call.
    pub price_per_call: AmountMsat,
    /// The price of each input token.
    pub price_per_token: AmountMsat,
    /// The price of each byte of input tensors.
    pub price_per_tensor_byte: AmountMsat,
    /// The longest text in tokens.
    pub max_input_tokens: u32,
    /// The most texts in one job.
    pub max_items: u32,
    /// The longest text in bytes.
    pub max_text_bytes: u32,
    /// The numbers in one embedding.
    pub dimensions: u32,
    /// What a tensor model takes.
    pub inputs: Vec<TensorSpec>,
    /// What a tensor model gives.
    pub outputs: Vec<TensorSpec>,
}

fn specs(specs: Vec<pb::TensorSpec>) -> Vec<TensorSpec> {
    specs.into_iter().map(|it| tensor_spec(it.name, it.datatype, it.shape)).collect()
}

impl ModelOffer {
    pub(super) fn read(model: pb::ModelOffer) -> Result<Self, CallError> {
        Ok(Self {
            name: model.name,
            version: model.version,
            digest: Digest::new(READ.bytes("digest", &model.digest)?),
            kind: model.kind,
            price_per_call: READ.amount("price_per_call_msat", model.price_per_call_msat)?,
            price_per_token: READ.amount("price_per_token_msat", model.price_per_token_msat)?,
            price_per_tensor_byte: READ
                .amount("price_per_tensor_byte_msat", model.price_per_tensor_byte_msat)?,
            max_input_tokens: model.max_input_tokens,
            max_items: model.max_items,
            max_text_bytes: model.max_text_bytes,
            dimensions: model.dimensions,
            inputs: specs(model.inputs),
            outputs: specs(model.outputs),
        })
    }
}

/// What a model shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Embeds texts.
    Embed {
        /// The texts.
        texts: Vec<String>,
        /// Cuts texts longer than the model reads instead of refusing them.
        truncate: bool,
    },
    /// Runs a tensor model.
    Infer(Inference),
}

impl Task {
    /// Embeds texts, none of which is cut.
    pub fn embed<S: Into<String>>(texts: impl IntoIterator<Item = S>) -> Self {
        Self::Embed { texts: texts.into_iter().map(Into::into).collect(), truncate: false }
    }

    /// The texts; none of tensors.
    pub fn texts(&self) -> &[String] {
        match self {
            Self::Embed { texts, .. } => texts,
            Self::Infer(_) => &[],
        }
    }

    /// The bytes of the tensors' contents, which are metered; none of texts.
    pub fn tensor_bytes(&self) -> u64 {
        match self {
            Self::Embed { .. } => 0,
            Self::Infer(inference) => inference.inputs.content_bytes(),
        }
    }

    /// The canonical digest of the request, which quote and receipt name.
    ///
    /// # Errors
    /// For more than 2^32 - 1 texts.
    pub fn digest(&self) -> Result<Digest, DigestError> {
        match self {
            Self::Embed { texts, .. } => embed_input(texts),
            Self::Infer(inference) => Ok(inference.digest()),
        }
    }

    /// What it is called in statements.
    pub const fn name(&self) -> statement::Task {
        match self {
            Self::Embed { .. } => statement::Task::Embed,
            Self::Infer(_) => statement::Task::Infer,
        }
    }

    pub(crate) fn to_quote(&self) -> pb::create_quote_request::Task {
        match self {
            Self::Embed { texts, truncate } => pb::create_quote_request::Task::Embed(embed(texts, *truncate)),
            Self::Infer(inference) => pb::create_quote_request::Task::Infer(infer(inference)),
        }
    }

    pub(crate) fn to_run(&self) -> pb::run_job_request::Task {
        match self {
            Self::Embed { texts, truncate } => pb::run_job_request::Task::Embed(embed(texts, *truncate)),
            Self::Infer(inference) => pb::run_job_request::Task::Infer(infer(inference)),
        }
    }
}

fn embed(texts: &[String], truncate: bool) -> pb::EmbedTask {
    pb::EmbedTask { texts: texts.to_vec(), truncate }
}

fn infer(inference: &Inference) -> pb::InferTask {
    let input = |tensor: &Tensor| pb::Tensor {
        name: tensor.name.clone(),
        datatype: tensor.datatype.clone(),
        shape: tensor.shape.clone(),
        contents: tensor.contents.clone(),
    };
    pb::InferTask {
        inputs: inference.inputs.as_slice().iter().map(input).collect(),
        outputs: inference.outputs.clone(),
    }
}

/// What a buyer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The idempotency key: make it once, keep it, repeat it.
    pub request_id: RequestId,
    /// The model's name.
    pub model_name: String,
    /// The version; empty for the newest.
    pub model_version: String,
    /// What to do.
    pub task: Task,
    /// The network the buyer pays on.
    pub network: Network,
    /// The buyer's ephemeral key, to have the answer sealed to it: made for this order alone, its secret kept until the answer
    /// is opened.
    pub sealed_to: Option<PublicKey>,
}

/// A job's id and the token that opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobKey {
    /// The id.
    pub job_id: JobId,
    /// The token.
    pub token: JobToken,
}

impl JobKey {
    pub(super) fn to_proto(self) -> pb::JobKey {
        pb::JobKey { job_id: self.job_id.to_string(), job_token: self.token.expose().to_vec() }
    }
}

/// A quote with its invoice, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Opens the job.
    pub key: JobKey,
    /// The signed quote: the exact text of its envelope.
    pub quote: String,
    /// The price as stated beside the quote.
    pub price: AmountMsat,
    /// The tokens the price was made from.
    pub input_tokens: u64,
    /// The bytes of tensors the price was made from.
    pub tensor_bytes: u64,
    /// The hold invoice, BOLT 11.
    pub bolt11: String,
    /// The invoice's payment hash as stated beside it.
    pub payment_hash: PaymentHash,
    /// When the quote ends.
    pub expiry: UnixS,
}

impl Offer {
    pub(super) fn read(offer: pb::CreateQuoteResponse) -> Result<Self, CallError> {
        let token = JobToken::new(READ.bytes("job_token", &offer.job_token)?);
        Ok(Self {
            key: JobKey { job_id: READ.parse("job_id", &offer.job_id)?, token },
            quote: offer.quote,
            price: READ.amount("price_msat", offer.price_msat)?,
            input_tokens: offer.input_tokens,
            tensor_bytes: offer.tensor_bytes,
            bolt11: offer.bolt11,
            payment_hash: PaymentHash(Digest::new(READ.bytes("payment_hash", &offer.payment_hash)?)),
            expiry: UnixS(offer.expiry_unix_s),
        })
    }
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub job_id: JobId,
    /// Where it stands; never unspecified.
    pub state: JobState,
    /// The exact price.
    pub price: AmountMsat,
    /// Why it was released; empty otherwise.
    pub release_reason: String,
    /// When it was quoted.
    pub created_at: UnixMs,
    /// When its state last changed.
    pub updated_at: UnixMs,
    /// When the quote ends.
    pub expiry: UnixS,
    /// Attempts to run the model so far.
    pub attempts: u32,
}

impl Job {
    pub(super) fn required(job: Option<pb::Job>) -> Result<Self, CallError> {
        let job = READ.required("job", job)?;
        Ok(Self {
            job_id: READ.parse("job_id", &job.job_id)?,
            state: READ.variant("job state", job.state)?,
            price: READ.amount("price_msat", job.price_msat)?,
            release_reason: job.release_reason,
            created_at: UnixMs(job.created_unix_ms),
            updated_at: UnixMs(job.updated_unix_ms),
            expiry: UnixS(job.expiry_unix_s),
            attempts: job.attempts,
        })
    }

    /// True when the state will not change any more.
    pub const fn is_ended(&self) -> bool {
        matches!(
            self.state,
            JobState::Settled | JobState::Failed | JobState::Canceled | JobState::Expired | JobState::Lost
        )
    }
}

/// The answer of a settled job as it was delivered, not yet held against its receipt.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// What was delivered, with its digest.
    pub delivered: ailayer_receipt::answer::Answer,
    /// The digest the seller states.
    pub output_digest: Digest,
}

impl Answer {
    /// An answer that was opened.
    pub(crate) fn opened(delivered: ailayer_receipt::answer::Answer) -> Self {
        Self { output_digest: delivered.digest(), delivered }
    }

    pub(super) fn read(answer: pb::GetResultResponse) -> Result<Self, CallError> {
        let output_digest = Digest::new(READ.bytes("output_digest", &answer.output_digest)?);
        let delivered = match READ.required("result", answer.result)? {
            pb::get_result_response::Result::Embed(embed) => rows(embed)?,
            pb::get_result_response::Result::Infer(infer) => tensors(infer)?,
            pb::get_result_response::Result::Sealed(_) => {
                return Err(malformed("a ciphertext in place of an answer"));
            }
        };
        Ok(Self { delivered, output_digest })
    }
}

/// Embeddings as they were delivered.
pub(crate) fn rows(embed: pb::EmbedResult) -> Result<ailayer_receipt::answer::Answer, CallError> {
    let rows = embed.embeddings.into_iter().map(|it| Row {
        values: it.values,
        input_tokens: it.input_tokens,
        truncated: it.truncated,
    });
    ailayer_receipt::answer::Answer::try_new(rows.collect()).map_err(malformed)
}

/// Tensors as they were delivered.
pub(crate) fn tensors(infer: pb::InferResult) -> Result<ailayer_receipt::answer::Answer, CallError> {
    let tensors = infer.outputs.into_iter().map(|it| Tensor {
        name: it.name,
        datatype: it.datatype,
        shape: it.shape,
        contents: it.contents,
    });
    let tensors = Tensors::try_new(tensors.collect()).map_err(malformed)?;
    Ok(ailayer_receipt::answer::Answer::of_tensors(tensors))
}

fn malformed(what: impl ToString) -> CallError {
    CallError::malformed(SERVICE, what.to_string())
}

/// The receipt and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptStatus {
    /// The signed receipt: the exact text of its envelope, as logged.
    pub receipt: String,
    /// The signed closing entry, once the job has ended.
    pub closing: Option<String>,
    /// How far it has come; never unspecified.
    pub promise: ReceiptPromise,
    /// The proof bundle in JSON, once anchored. The first anchor after the claim may cover the receipt and not yet its
    /// closing entry.
    pub bundle: Option<String>,
}

impl ReceiptStatus {
    /// The proof bundle, once it also proves how the job ended.
    pub fn bundle_with_ending(self) -> Option<String> {
        self.bundle.filter(|json| Bundle::parse(json.as_bytes()).is_ok_and(|bundle| bundle.closing.is_some()))
    }
}
