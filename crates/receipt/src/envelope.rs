//! DSSE envelopes (Dead Simple Signing Envelope, secure-systems-lab/dsse v1) around JSON statements.
//!
//! ```json
//! {"payload":"<base64>","payloadType":"application/vnd.ailayer.receipt.v1+json","signatures":[{"keyid":"…","sig":"<base64>"}]}
//! ```
//!
//! The signature covers PAE = "DSSEv1" SP len(payloadType) SP payloadType SP len(payload) SP payload, lengths in decimal.
//! The payload is checked as the bytes it is, never re-serialised. The envelope itself has one spelling (this key
//! order, no white space, exactly one signature): its exact bytes are the log entry, so it must not be malleable.

use std::fmt;

use ailayer_primitives::Digest;
use ailayer_tlog::NodeHash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::keys::{GatewayKey, GatewaySigner};
use crate::statement::{Statement, StatementError};

/// An envelope is shorter than this, so that its length fits the two bytes that C2SP's entry bundles give it.
pub const MAX_ENVELOPE_BYTES: usize = 65_535;

/// What is wrong with an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not shorter than [`MAX_ENVELOPE_BYTES`].
    #[error("envelope is not shorter than {MAX_ENVELOPE_BYTES} bytes")]
    TooLarge,
    /// Not the JSON of an envelope.
    #[error("envelope is malformed: {0}")]
    Malformed(String),
    /// The same envelope in another spelling.
    #[error("envelope is not in its canonical spelling")]
    NotCanonical,
    /// The payload or the signature is not base64.
    #[error("{0} is not base64")]
    NotBase64(&'static str),
    /// Another kind of statement.
    #[error("payloadType is {found:?}, not {expected:?}")]
    PayloadType {
        /// What the place in the bundle asks for.
        expected: &'static str,
        /// What the envelope says.
        found: String,
    },
    /// Signed by another key.
    #[error("keyid is not that of gateway_key")]
    ForeignKey,
    /// The signature is not the key's.
    #[error("signature does not match the gateway key")]
    BadSignature,
    /// What was signed is not a statement of that kind.
    #[error("payload: {0}")]
    Statement(StatementError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wire {
    payload: String,
    payload_type: String,
    signatures: [WireSignature; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: String,
    sig: String,
}

/// A signed statement as it travels: its exact text, and the parts of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    text: String,
    payload: Vec<u8>,
    payload_type: String,
    key_id: String,
    signature: Vec<u8>,
}

impl Envelope {
    /// Splits an envelope; the signature is not checked yet, see [`Envelope::open`].
    ///
    /// # Errors
    /// [`EnvelopeError`] when it is too large, malformed or not in its canonical spelling.
    pub fn parse(text: &str) -> Result<Self, EnvelopeError> {
        if text.len() >= MAX_ENVELOPE_BYTES {
            return Err(EnvelopeError::TooLarge);
        }
        let malformed = |error: serde_json::Error| EnvelopeError::Malformed(error.to_string());
        let wire: Wire = serde_json::from_str(text).map_err(malformed)?;
        if serde_json::to_string(&wire).map_err(malformed)? != text {
            return Err(EnvelopeError::NotCanonical);
        }
        let payload = STANDARD.decode(&wire.payload).map_err(|_| EnvelopeError::NotBase64("payload"))?;
        let [WireSignature { keyid, sig }] = wire.signatures;
        let signature = STANDARD.decode(sig).map_err(|_| EnvelopeError::NotBase64("sig"))?;
        Ok(Self { text: text.to_owned(), payload, payload_type: wire.payload_type, key_id: keyid, signature })
    }

    pub(crate) fn sign<S: Statement>(statement: &S, signer: &GatewaySigner) -> Result<Self, EnvelopeError> {
        statement.validate().map_err(EnvelopeError::Statement)?;
        let malformed = |error: serde_json::Error| EnvelopeError::Malformed(error.to_string());
        let payload = serde_json::to_vec(statement).map_err(malformed)?;
        let signature = signer.sign_bytes(&pre_authentication_encoding(S::PAYLOAD_TYPE, &payload));
        let wire = Wire {
            payload: STANDARD.encode(payload),
            payload_type: S::PAYLOAD_TYPE.to_owned(),
            signatures: [WireSignature {
                keyid: signer.public_key().key_id(),
                sig: STANDARD.encode(signature),
            }],
        };
        Self::parse(&serde_json::to_string(&wire).map_err(malformed)?)
    }

    /// Checks kind, key and signature, then reads the statement.
    ///
    /// # Errors
    /// [`EnvelopeError`] naming what is wrong. Nothing of the payload is read before its signature holds.
    pub fn open<S: Statement>(&self, key: &GatewayKey) -> Result<S, EnvelopeError> {
        if self.payload_type != S::PAYLOAD_TYPE {
            let found = self.payload_type.chars().take(80).collect();
            return Err(EnvelopeError::PayloadType { expected: S::PAYLOAD_TYPE, found });
        }
        if self.key_id != key.key_id() {
            return Err(EnvelopeError::ForeignKey);
        }
        let message = pre_authentication_encoding(&self.payload_type, &self.payload);
        if !key.verifies(&message, &self.signature) {
            return Err(EnvelopeError::BadSignature);
        }
        S::parse(&self.payload).map_err(EnvelopeError::Statement)
    }

    /// The exact text: the bytes to store, send and append to the log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The exact text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.text
    }

    /// The payload's media type.
    #[must_use]
    pub fn payload_type(&self) -> &str {
        &self.payload_type
    }

    /// The signed bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// SHA-256 of the exact text. For a quote this is the hold invoice's description hash.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256(self.text.as_bytes())
    }

    /// Leaf hash of the exact text as a log entry.
    #[must_use]
    pub fn leaf_hash(&self) -> NodeHash {
        ailayer_tlog::leaf_hash(self.text.as_bytes())
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// What DSSE signs in place of the payload, so that a signature for one payload type cannot serve another.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests;
