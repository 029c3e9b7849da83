//! What a buyer asks for, checked before anything is counted or stored.

use ailayer_primitives::{Digest, Network, RequestId};
use ailayer_receipt::digest::{DigestError, embed_input};
use ailayer_receipt::statement::Task;
use ailayer_receipt::tensor::{Inference, Misfit, TensorError, TensorSpec};
use ailayer_seal::PublicKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The longest model name or version, as statements bound them.
const MAX_NAME_BYTES: usize = ailayer_receipt::statement::MAX_TEXT_BYTES;
/// Domain of [`Order::body_digest`].
const BODY: &[u8] = b"ailayer.gateway.order.v1\0";
/// The same of an order for a sealed answer, whose first part is the buyer's key.
const SEALED_BODY: &[u8] = b"ailayer.gateway.order.sealed.v1\0";
/// The two of an order of tensors.
const TENSOR_BODY: &[u8] = b"ailayer.gateway.order.tensors.v1\0";
const SEALED_TENSOR_BODY: &[u8] = b"ailayer.gateway.order.tensors.sealed.v1\0";
/// First byte of the stored form of tensors.
const TENSORS: u8 = 1;

/// How much one order may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLimits {
    /// Texts, or input tensors.
    pub max_items: u32,
    /// Bytes of one text.
    pub max_text_bytes: u32,
    /// Bytes of an answer's numbers, or of its tensors' contents, together: what a job keeps.
    pub max_output_bytes: u32,
    /// Bytes of all texts, or of all tensors' contents, together: what a job stores.
    pub max_input_bytes: u32,
}

/// An order that is refused before anything happens.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OrderError {
    /// Not a version 4 UUID: whoever guesses the id could fetch the quote.
    #[error("request_id must be a random UUID (version 4)")]
    RequestId,
    /// Empty, too long, or with control characters.
    #[error("{0} must be 1 to {MAX_NAME_BYTES} bytes without control characters")]
    Name(&'static str),
    /// The buyer pays on another network.
    #[error("this seller takes money on {0} only")]
    WrongNetwork(Network),
    /// No texts.
    #[error("there are no texts")]
    NoTexts,
    /// A text without a byte.
    #[error("text {0} is empty")]
    EmptyText(usize),
    /// Too many texts.
    #[error("{found} texts, at most {limit} are taken")]
    TooManyTexts {
        /// How many there are.
        found: usize,
        /// How many may be.
        limit: u32,
    },
    /// A text that is too long.
    #[error("text {index} has {found} bytes, at most {limit} are taken")]
    TextTooLong {
        /// Which text.
        index: usize,
        /// Its length in bytes.
        found: usize,
        /// The limit.
        limit: u32,
    },
    /// Tensors that are none.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A tensor without an element.
    #[error("tensor {0:?} has a side of length 0")]
    EmptyTensor(String),
    /// The model server does not say which tensors the model takes.
    #[error("it is not known which tensors the model takes")]
    NotDescribed,
    /// Tensors that the model does not take.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Too many tensors, or names of outputs.
    #[error("{found} entries in {field}, at most {limit} are taken")]
    TooManyTensors {
        /// Of which.
        field: &'static str,
        /// How many there are.
        found: usize,
        /// How many may be.
        limit: u32,
    },
    /// The model does something else.
    #[error("the model does not take {0}")]
    WrongTask(&'static str),
    /// The contents of all tensors together are too long.
    #[error("the tensors have {found} bytes together, at most {limit} are taken")]
    TensorsTooLong {
        /// Their length in bytes.
        found: u64,
        /// The limit.
        limit: u32,
    },
    /// All texts together are too long.
    #[error("the texts have {found} bytes together, at most {limit} are taken")]
    InputTooLong {
        /// Their length in bytes.
        found: usize,
        /// The limit.
        limit: u32,
    },
}

/// What a model is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The buyer's idempotency key.
    pub request_id: RequestId,
    /// The model's name.
    pub model_name: String,
    /// The version; empty for the newest.
    pub model_version: String,
    /// What to do.
    pub input: JobInput,
    /// The network the buyer pays on.
    pub network: Network,
    /// The buyer's ephemeral key, if the answer is to be sealed to it.
    pub sealed_to: Option<PublicKey>,
}

/// The input of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobInput {
    /// Texts to embed.
    Embed(EmbedInput),
    /// Tensors for a tensor model.
    Infer(Inference),
}

/// Texts, as they are stored until they have been embedded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedInput {
    /// The texts.
    pub texts: Vec<String>,
    /// Cuts long texts instead of refusing them.
    pub truncate: bool,
}

impl JobInput {
    /// The canonical digest that quote and receipt name.
    pub fn digest(&self) -> Result<Digest, DigestError> {
        match self {
            Self::Embed(input) => embed_input(&input.texts),
            Self::Infer(inference) => Ok(inference.digest()),
        }
    }

    /// The bytes of its texts, or of its tensors' contents.
    pub fn content_bytes(&self) -> u64 {
        match self {
            Self::Embed(input) => {
                let bytes = |text: &String| u64::try_from(text.len()).unwrap_or(u64::MAX);
                input.texts.iter().map(bytes).fold(0, u64::saturating_add)
            }
            Self::Infer(inference) => inference.inputs.content_bytes(),
        }
    }

    /// What it is called in quotes.
    pub const fn task(&self) -> Task {
        match self {
            Self::Embed(_) => Task::Embed,
            Self::Infer(_) => Task::Infer,
        }
    }

    /// Fails unless a model of this kind, as model serving names it, and with these tensors takes it. What is metered of texts is nothing
    /// of tensors: no model may be asked for the other's price.
    pub fn check_model(
        &self,
        kind: &str,
        inputs: &[TensorSpec],
        outputs: &[TensorSpec],
    ) -> Result<(), OrderError> {
        match (self, kind) {
            (Self::Embed(_), "embedding") => Ok(()),
            // By a model server that does not describe its models yet, nor says which file has run.
            (Self::Infer(_), "tensor") if inputs.is_empty() => Err(OrderError::NotDescribed),
            (Self::Infer(inference), "tensor") => Ok(inference.check(inputs, outputs)?),
            (Self::Embed(_), _) => Err(OrderError::WrongTask("texts")),
            (Self::Infer(_), _) => Err(OrderError::WrongTask("tensors")),
        }
    }

    /// The stored form: texts as JSON, tensors behind a byte that begins no JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Embed(input) => serde_json::to_vec(input),
            Self::Infer(inference) => {
                let mut bytes = vec![TENSORS];
                bytes.extend(inference.to_bytes());
                Ok(bytes)
            }
        }
    }

    /// Reads the stored form; none if it is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.strip_prefix(&[TENSORS]) {
            Some(inference) => Inference::from_bytes(inference).ok().map(Self::Infer),
            None => serde_json::from_slice(bytes).ok().map(Self::Embed),
        }
    }

    fn check(&self, limits: &OrderLimits) -> Result<(), OrderError> {
        match self {
            Self::Embed(input) => check_texts(&input.texts, limits),
            Self::Infer(inference) => check_tensors(inference, limits),
        }
    }
}

impl Order {
    /// Checks everything that needs no other service.
    pub fn check(&self, network: Network, limits: &OrderLimits) -> Result<(), OrderError> {
        if self.request_id.uuid().get_version_num() != 4 {
            return Err(OrderError::RequestId);
        }
        if self.network != network {
            return Err(OrderError::WrongNetwork(network));
        }
        check_name("model_name", &self.model_name)?;
        if !self.model_version.is_empty() {
            check_name("model_version", &self.model_version)?;
        }
        self.input.check(limits)
    }

    /// The digest of everything but the request id: the same id with another digest is another request.
    /// SHA-256 over a domain name, then each part behind its length (u64be); `request` is [`JobInput::digest`] of the input.
    pub fn body_digest(&self, request: &Digest) -> Digest {
        let domain = match (&self.input, self.sealed_to.is_some()) {
            (JobInput::Embed(_), false) => BODY,
            (JobInput::Embed(_), true) => SEALED_BODY,
            (JobInput::Infer(_), false) => TENSOR_BODY,
            (JobInput::Infer(_), true) => SEALED_TENSOR_BODY,
        };
        let mut hash = Sha256::new().chain_update(domain);
        let mut part = |bytes: &[u8]| {
            hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(bytes);
        };
        if let Some(key) = &self.sealed_to {
            part(key.as_bytes());
        }
        part(self.network.as_str().as_bytes());
        part(self.model_name.as_bytes());
        part(self.model_version.as_bytes());
        match &self.input {
            JobInput::Embed(input) => {
                part(&[u8::from(input.truncate)]);
                input.texts.iter().for_each(|text| part(text.as_bytes()));
            }
            JobInput::Infer(_) => part(request.as_bytes()),
        }
        Digest::new(hash.finalize().into())
    }
}

fn check_name(field: &'static str, name: &str) -> Result<(), OrderError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(OrderError::Name(field));
    }
    Ok(())
}

fn check_texts(texts: &[String], limits: &OrderLimits) -> Result<(), OrderError> {
    let within = |length: usize, limit: u32| u64::try_from(length).is_ok_and(|it| it <= u64::from(limit));
    if texts.is_empty() {
        return Err(OrderError::NoTexts);
    }
    if !within(texts.len(), limits.max_items) {
        return Err(OrderError::TooManyTexts { found: texts.len(), limit: limits.max_items });
    }
    for (index, text) in texts.iter().enumerate() {
        if text.is_empty() {
            return Err(OrderError::EmptyText(index));
        }
        if !within(text.len(), limits.max_text_bytes) {
            return Err(OrderError::TextTooLong { index, found: text.len(), limit: limits.max_text_bytes });
        }
    }
    let found = texts.iter().map(String::len).sum();
    if !within(found, limits.max_input_bytes) {
        return Err(OrderError::InputTooLong { found, limit: limits.max_input_bytes });
    }
    Ok(())
}

fn check_tensors(inference: &Inference, limits: &OrderLimits) -> Result<(), OrderError> {
    for (field, found) in
        [("infer.inputs", inference.inputs.as_slice().len()), ("infer.outputs", inference.outputs.len())]
    {
        if u64::try_from(found).is_ok_and(|found| found > u64::from(limits.max_items)) {
            return Err(OrderError::TooManyTensors { field, found, limit: limits.max_items });
        }
    }
    // Its other sides cost nothing, and may make a model work without end.
    if let Some(tensor) = inference.inputs.as_slice().iter().find(|tensor| tensor.shape.contains(&0)) {
        return Err(OrderError::EmptyTensor(tensor.name.clone()));
    }
    inference.outputs.iter().try_for_each(|name| check_name("infer.outputs", name))?;
    let found = inference.inputs.content_bytes();
    if found > u64::from(limits.max_input_bytes) {
        return Err(OrderError::TensorsTooLong { found, limit: limits.max_input_bytes });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
