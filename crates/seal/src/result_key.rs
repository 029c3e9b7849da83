//! The key that a payment's preimage completes, and what it seals and opens.

use std::fmt;

use ailayer_primitives::{Digest, JobId, Preimage};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::agreement::SharedSecret;

/// What [`ResultKey`]s are for, in their derivation.
const RESULT: &[u8] = b"ailayer sealed result v1";
/// What message keys are for, in theirs.
const ANSWER: &[u8] = b"ailayer sealed answer v1";

/// Which answer is sealed. All of it stands in signed statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The job.
    pub job_id: JobId,
    /// The attempt that answered. No two attempts of a job have the same number.
    pub attempt: u32,
    /// SHA-256 of the quote's envelope, which names both sides' keys.
    pub quote_digest: Digest,
    /// Canonical digest of the answer.
    pub output_digest: Digest,
}

impl Context {
    fn to_bytes(self) -> Vec<u8> {
        let (job_id, attempt) = (self.job_id.uuid(), self.attempt.to_be_bytes());
        let parts: [&[u8]; 5] = [
            ANSWER,
            job_id.as_bytes(),
            &attempt,
            self.quote_digest.as_bytes(),
            self.output_digest.as_bytes(),
        ];
        parts.concat()
    }
}

/// An answer that is too long to be sealed: 256 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is too long to be sealed")]
pub struct TooLong;

/// A ciphertext that this key does not open in this context: altered, of another answer, or not sealed with this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ciphertext does not open")]
pub struct NotOpened;

/// The key of one job's results. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct ResultKey(Zeroizing<[u8; 32]>);

impl ResultKey {
    /// `HKDF-SHA256(salt = shared secret, ikm = preimage, info = "ailayer sealed result v1" || job id)`.
    #[must_use]
    pub fn derive(preimage: &Preimage, shared: &SharedSecret, job_id: JobId) -> Self {
        Self(expand(Some(shared.expose()), preimage.expose(), &[RESULT, job_id.uuid().as_bytes()]))
    }

    /// Wraps a key that another process derived.
    #[must_use]
    pub const fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// The secret bytes, for the process that seals.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals an answer. Deterministic: the same answer in the same context gives the same bytes, 16 more than it has.
    ///
    /// # Errors
    /// [`TooLong`]
    pub fn seal(&self, context: &Context, plaintext: &[u8]) -> Result<Vec<u8>, TooLong> {
        let (cipher, aad) = self.cipher(context);
        let payload = Payload { msg: plaintext, aad: &aad };
        cipher.encrypt(&Nonce::default(), payload).map_err(|_| TooLong)
    }

    /// Opens a ciphertext.
    ///
    /// # Errors
    /// [`NotOpened`]: nothing is said about why, and nothing of the plaintext is handed out.
    pub fn open(&self, context: &Context, ciphertext: &[u8]) -> Result<Vec<u8>, NotOpened> {
        let (cipher, aad) = self.cipher(context);
        let payload = Payload { msg: ciphertext, aad: &aad };
        cipher.decrypt(&Nonce::default(), payload).map_err(|_| NotOpened)
    }

    /// The cipher of a message key, and the context once more, as associated data.
    fn cipher(&self, context: &Context) -> (ChaCha20Poly1305, Vec<u8>) {
        let context = context.to_bytes();
        let key = expand(None, &self.0, &[&context]);
        (ChaCha20Poly1305::new((&*key).into()), context)
    }
}

impl fmt::Debug for ResultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResultKey(secret)")
    }
}

#[expect(clippy::expect_used, reason = "32 bytes are always a valid HKDF-SHA256 length: RFC 5869, 2.3")]
fn expand(salt: Option<&[u8; 32]>, ikm: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut derived = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(salt.map(<[u8; 32]>::as_slice), ikm)
        .expand_multi_info(info, derived.as_mut_slice())
        .expect("32 <= 255 * 32");
    derived
}
