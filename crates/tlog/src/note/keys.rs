//! Keys of signed notes and their text encodings.
//!
//! - verifier key: `<name>+<key id, 8 hex digits>+<base64 of type byte and public key>`
//! - signer key: `PRIVATE+KEY+<name>+<key id>+<base64 of type byte and seed>`
//!
//! The key id is the first four bytes of SHA-256(name || 0x0A || type byte || public key).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::MAX_KEY_NAME_BYTES;
use super::parse::NoteSignature;

/// Signature type of a plain Ed25519 note signature.
const TYPE_ED25519: u8 = 0x01;
/// How a signer key begins.
const SIGNER_PREFIX: &str = "PRIVATE+KEY+";

/// First four bytes of a hash over name, type and public key; shown as eight hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 4]);

impl KeyId {
    fn ed25519(name: &str, key: &VerifyingKey) -> Self {
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', TYPE_ED25519])
            .chain_update(key.as_bytes())
            .finalize();
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash);
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyId({self})")
    }
}

/// What is wrong with a key or its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Empty, too long, or with a space, a plus sign or a control character.
    #[error("the key name is empty, too long, or holds a space, a plus sign or a control character")]
    Name,
    /// Not name, key id and key, separated by plus signs.
    #[error("the key is not of the form name+keyid+base64")]
    Form,
    /// The key id is not the one of this name and key.
    #[error("the key id does not belong to this name and key")]
    KeyId,
    /// Another signature type than Ed25519 (0x01).
    #[error("the key is not of type 0x01 (Ed25519)")]
    Type,
    /// Not a usable Ed25519 public key.
    #[error("the public key is not a usable Ed25519 key")]
    PublicKey,
}

/// Spaces end a name on a signature line, plus signs end it in a key.
pub(super) fn check_name(name: &str) -> Result<(), KeyError> {
    let bad = |character: char| character.is_whitespace() || character.is_control() || character == '+';
    if name.is_empty() || name.len() > MAX_KEY_NAME_BYTES || name.chars().any(bad) {
        return Err(KeyError::Name);
    }
    Ok(())
}

/// Name, key id and 32 key bytes of `name+keyid+base64(type || key)`.
fn split_key(text: &str) -> Result<(&str, KeyId, [u8; 32]), KeyError> {
    let (name, rest) = text.split_once('+').ok_or(KeyError::Form)?;
    let (id, key) = rest.split_once('+').ok_or(KeyError::Form)?;
    check_name(name)?;
    let mut key_id = [0; 4];
    if id.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(KeyError::Form);
    }
    hex::decode_to_slice(id, &mut key_id).map_err(|_| KeyError::Form)?;
    let bytes = STANDARD.decode(key).map_err(|_| KeyError::Form)?;
    let (&kind, key) = bytes.split_first().ok_or(KeyError::Form)?;
    if kind != TYPE_ED25519 {
        return Err(KeyError::Type);
    }
    Ok((name, KeyId(key_id), key.try_into().map_err(|_| KeyError::Form)?))
}

/// `name+keyid+base64(type || key)`.
fn join_key(name: &str, id: KeyId, key: &[u8; 32]) -> String {
    let mut bytes = vec![TYPE_ED25519];
    bytes.extend_from_slice(key);
    format!("{name}+{id}+{}", STANDARD.encode(bytes))
}

/// A public key with its name. `Display` and [`Verifier::parse`] are the verifier-key text.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key_id: KeyId,
    key: VerifyingKey,
}

impl Verifier {
    /// Names an Ed25519 public key.
    ///
    /// # Errors
    /// [`KeyError`] for a name notes cannot carry, or for bytes that are no key or one of small order.
    pub fn try_new(name: &str, public_key: &[u8; 32]) -> Result<Self, KeyError> {
        check_name(name)?;
        let key = VerifyingKey::from_bytes(public_key).map_err(|_| KeyError::PublicKey)?;
        if key.is_weak() {
            return Err(KeyError::PublicKey);
        }
        Ok(Self { name: name.to_owned(), key_id: KeyId::ed25519(name, &key), key })
    }

    /// Reads a verifier key (`name+keyid+base64`).
    ///
    /// # Errors
    /// [`KeyError`] naming what is wrong, also when the key id is not that of name and key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (name, key_id, key) = split_key(text)?;
        let verifier = Self::try_new(name, &key)?;
        if verifier.key_id == key_id { Ok(verifier) } else { Err(KeyError::KeyId) }
    }

    /// The key's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key id that signature lines carry.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The 32 bytes of the Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether a signature line claims to be by this key.
    #[must_use]
    pub fn claims(&self, signature: &NoteSignature) -> bool {
        signature.name == self.name && signature.key_id == self.key_id
    }

    /// Whether the bytes are this key's signature of the text. Strict: no second spelling of a signature is accepted.
    #[must_use]
    pub fn verifies(&self, text: &str, signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(text.as_bytes(), &signature).is_ok())
    }
}

impl fmt::Display for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&join_key(&self.name, self.key_id, self.key.as_bytes()))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Verifier({self})")
    }
}

/// A private key with its name. Its `Debug` shows the public half only.
#[derive(Clone)]
pub struct Signer {
    verifier: Verifier,
    key: SigningKey,
}

impl Signer {
    /// Names the Ed25519 key of a 32-byte seed.
    ///
    /// # Errors
    /// [`KeyError::Name`] for a name notes cannot carry.
    pub fn try_new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = SigningKey::from_bytes(seed);
        Ok(Self { verifier: Verifier::try_new(name, key.verifying_key().as_bytes())?, key })
    }

    /// Reads a signer key (`PRIVATE+KEY+name+keyid+base64`).
    ///
    /// # Errors
    /// [`KeyError`] naming what is wrong, also when the key id is not that of name and key.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.strip_prefix(SIGNER_PREFIX).ok_or(KeyError::Form)?;
        let (name, key_id, seed) = split_key(text)?;
        let signer = Self::try_new(name, &seed)?;
        if signer.verifier.key_id == key_id { Ok(signer) } else { Err(KeyError::KeyId) }
    }

    /// The public half.
    #[must_use]
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The secret signer-key text, as [`Signer::parse`] reads it.
    #[must_use]
    pub fn to_secret_text(&self) -> String {
        format!("{SIGNER_PREFIX}{}", join_key(&self.verifier.name, self.verifier.key_id, self.key.as_bytes()))
    }

    /// Signs a note's text, final newline included.
    #[must_use]
    pub fn sign(&self, text: &str) -> NoteSignature {
        let signature = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        NoteSignature { name: self.verifier.name.clone(), key_id: self.verifier.key_id, signature }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signer({})", self.verifier)
    }
}
