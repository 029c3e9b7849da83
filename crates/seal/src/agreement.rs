//! X25519 keys of the two sides, and what they agree on.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

/// How the text of a public key begins.
const PREFIX: &str = "x25519:";
/// A scalar to try points with: with a point of low order every scalar gives zero.
const PROBE: [u8; 32] = [1; 32];

/// Not a usable public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyError {
    /// Not 32 bytes.
    #[error("a sealing key has 32 bytes, got {0}")]
    Length(usize),
    /// Not `x25519:` and the base64 of 32 bytes.
    #[error("a sealing key is written x25519:<base64 of 32 bytes>")]
    Form,
    /// A point of low order: whatever the other side's secret is, the agreement is known to everybody.
    #[error("the bytes are a point of low order: nothing is secret with such a key")]
    LowOrder,
}

/// A public key of either side; never of low order. Written `x25519:<base64 of 32 bytes>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads the 32 bytes of a public key.
    ///
    /// # Errors
    /// [`PublicKeyError::LowOrder`] when no agreement with it is secret.
    pub fn try_new(bytes: [u8; 32]) -> Result<Self, PublicKeyError> {
        let agreed = StaticSecret::from(PROBE).diffie_hellman(&bytes.into());
        if agreed.was_contributory() { Ok(Self(bytes)) } else { Err(PublicKeyError::LowOrder) }
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(bytes: &[u8]) -> Result<Self, PublicKeyError> {
        Self::try_new(bytes.try_into().map_err(|_| PublicKeyError::Length(bytes.len()))?)
    }
}

impl FromStr for PublicKey {
    type Err = PublicKeyError;

    fn from_str(text: &str) -> Result<Self, PublicKeyError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(PublicKeyError::Form)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| PublicKeyError::Form)?;
        Self::try_new(bytes.as_slice().try_into().map_err(|_| PublicKeyError::Form)?)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = PublicKeyError;

    fn try_from(text: String) -> Result<Self, PublicKeyError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A secret key of either side. Wiped when dropped; `Debug` shows the public half only.
#[derive(Clone)]
pub struct SecretKey(StaticSecret);

impl SecretKey {
    /// The key of 32 secret random bytes.
    #[must_use]
    pub fn new(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(StaticSecret::from(**bytes))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        // A multiple of the base point by a clamped scalar: never of low order.
        PublicKey(x25519_dalek::PublicKey::from(&self.0).to_bytes())
    }

    /// What both sides find, each with its own secret and the other's public key. Never zero, because no [`PublicKey`] is of
    /// low order.
    #[must_use]
    pub fn agree(&self, other: &PublicKey) -> SharedSecret {
        SharedSecret::new(Zeroizing::new(self.0.diffie_hellman(&other.0.into()).to_bytes()))
    }

    /// The secret bytes, for whoever keeps them.
    #[must_use]
    pub fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public_key())
    }
}

/// What buyer and gateway agree on for a job. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct SharedSecret(Zeroizing<[u8; 32]>);

impl SharedSecret {
    /// Wraps what another process agreed on.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The secret bytes, for the process that has the preimage.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(secret)")
    }
}
