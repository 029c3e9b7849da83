//! What a buyer asks for, checked before anything is counted or stored.

use ailayer_primitives::{Digest, Network, RequestId};
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

/// How much one order may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLimits {
    /// Texts.
    pub max_items: u32,
    /// Bytes of one text.
    pub max_text_bytes: u32,
    /// Bytes of all texts together: what a job stores.
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
    /// All texts together are too long.
    #[error("the texts have {found} bytes together, at most {limit} are taken")]
    InputTooLong {
        /// Their length in bytes.
        found: usize,
        /// The limit.
        limit: u32,
    },
}

/// A request for embeddings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The buyer's idempotency key.
    pub request_id: RequestId,
    /// The model's name.
    pub model_name: String,
    /// The version; empty for the newest.
    pub model_version: String,
    /// What to do.
    pub input: EmbedInput,
    /// The network the buyer pays on.
    pub network: Network,
    /// The buyer's ephemeral key, if the answer is to be sealed to it.
    pub sealed_to: Option<PublicKey>,
}

/// The input of an embedding job, as it is stored until it has run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedInput {
    /// The texts.
    pub texts: Vec<String>,
    /// Cuts long texts instead of refusing them.
    pub truncate: bool,
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
        check_texts(&self.input.texts, limits)
    }

    /// The digest of everything but the request id: the same id with another digest is another request.
    /// SHA-256 over a domain name, then each part behind its length (u64be).
    pub fn body_digest(&self) -> Digest {
        let domain = if self.sealed_to.is_some() { SEALED_BODY } else { BODY };
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
        part(&[u8::from(self.input.truncate)]);
        self.input.texts.iter().for_each(|text| part(text.as_bytes()));
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

#[cfg(test)]
mod tests;
