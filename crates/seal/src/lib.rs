//! The sealed result: an answer that is delivered before it is paid, and can be read only once it is.
//!
//! ```text
//! shared secret = X25519(buyer's ephemeral key, gateway's sealing key); a key of low order is refused
//! result key    = HKDF-SHA256(salt = shared secret, ikm = preimage, info = "ailayer sealed result v1" || job id)
//! message key   = HKDF-SHA256(salt = none, ikm = result key, info = context)
//! context       = "ailayer sealed answer v1" || job id || attempt (u32be) || quote digest || output digest
//! ciphertext    = ChaCha20-Poly1305(message key, nonce = 0, associated data = context, plaintext)
//! ```
//!
//! - Who knows the preimage alone (every hop of the payment) has no shared secret; who knows the shared secret alone (the
//!   buyer, before paying) has no preimage.
//! - A message key is used once: another attempt, another answer or another quote is another context, so the nonce is
//!   fixed.
//! - Everything but the secrets stands in signed statements. With the preimage and the buyer's ephemeral secret anybody
//!   finds the one key there is, and what the ciphertext of the receipt opens to: no seller and no buyer can name another.
//!
//! [`agreement`] has the keys of the two sides, [`result_key`] what they open. Pure: randomness is the caller's.

pub mod agreement;
pub mod result_key;

pub use agreement::{PublicKey, PublicKeyError, SecretKey, SharedSecret};
pub use result_key::{Context, NotOpened, ResultKey, TooLong};

#[cfg(test)]
mod tests;
