//! The gateway's key: one Ed25519 key signs quotes, receipts and closing entries.

use std::fmt;
use std::str::FromStr;

use ailayer_primitives::Digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, EnvelopeError};
use crate::statement::Statement;

/// How the text of a public key begins.
const PREFIX: &str = "ed25519:";

/// Not a usable public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GatewayKeyError {
    /// Not `ed25519:` and the base64 of 32 bytes.
    #[error("a gateway key is written ed25519:<base64 of 32 bytes>")]
    Form,
    /// The bytes are not a point of the curve, or one of small order.
    #[error("the bytes are not a usable Ed25519 public key")]
    Point,
}

/// The gateway's public key. Written `ed25519:<base64 of 32 bytes>`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GatewayKey(VerifyingKey);

impl GatewayKey {
    /// Reads the 32 bytes of a public key.
    ///
    /// # Errors
    /// [`GatewayKeyError::Point`] when they are not one, or one for which signatures prove nothing.
    pub fn try_new(bytes: &[u8; 32]) -> Result<Self, GatewayKeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| GatewayKeyError::Point)?;
        if key.is_weak() { Err(GatewayKeyError::Point) } else { Ok(Self(key)) }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Name of the key in envelopes: the first 8 bytes of SHA-256 over the 32 key bytes, in hexadecimal.
    #[must_use]
    pub fn key_id(&self) -> String {
        let digest = Digest::sha256(self.as_bytes());
        hex::encode(digest.as_bytes().iter().take(8).copied().collect::<Vec<_>>())
    }

    /// Whether the bytes are this key's signature of the message. Strict: a signature has one spelling.
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl FromStr for GatewayKey {
    type Err = GatewayKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix(PREFIX).ok_or(GatewayKeyError::Form)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| GatewayKeyError::Form)?;
        Self::try_new(bytes.as_slice().try_into().map_err(|_| GatewayKeyError::Form)?)
    }
}

impl TryFrom<String> for GatewayKey {
    type Error = GatewayKeyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GatewayKey> for String {
    fn from(key: GatewayKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for GatewayKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", STANDARD.encode(self.as_bytes()))
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GatewayKey({self})")
    }
}

/// The gateway's private key. Its `Debug` shows the public half only.
#[derive(Clone)]
pub struct GatewaySigner(SigningKey);

impl GatewaySigner {
    /// The key of a 32-byte secret seed.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> GatewayKey {
        GatewayKey(self.0.verifying_key())
    }

    /// Signs a statement. Deterministic: the same statement gives the same bytes.
    ///
    /// # Errors
    /// [`EnvelopeError`] when the statement is out of its bounds; whatever is signed can be opened again.
    pub fn sign<S: Statement>(&self, statement: &S) -> Result<Envelope, EnvelopeError> {
        Envelope::sign(statement, self)
    }

    pub(crate) fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for GatewaySigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "GatewaySigner({})", self.public_key())
    }
}
