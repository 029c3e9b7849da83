//! The commitment to a checkpoint in a Bitcoin transaction, and the proof that a block of enough work holds it.
//!
//! The committing output is `OP_RETURN` and a push of exactly 32 bytes: the SHA-256 of the checkpoint note's text (the
//! lines up to and including the newline before the empty line). An OpenTimestamps proof of that text can be derived
//! from the same transaction.

mod headers;
mod merkle;
mod transaction;

use ailayer_primitives::Digest;
use bitcoin::ScriptBuf;

pub use headers::{HeadersError, MIN_BITCOIN_DIFFICULTY_BITS};
pub(crate) use headers::{check_work, decode_headers};
pub use merkle::MerkleError;
pub(crate) use merkle::{Depth, check_branch, decode_siblings};
pub use transaction::TransactionError;
pub(crate) use transaction::{check_commitment, check_height, decode};

/// What the anchor commits to: SHA-256 of the checkpoint note's text, its final newline included.
#[must_use]
pub fn commitment(checkpoint_body: &str) -> Digest {
    Digest::sha256(checkpoint_body.as_bytes())
}

/// Script of the committing output: `OP_RETURN` and a push of 32 bytes (`6a20…`).
#[must_use]
pub fn commitment_script(commitment: &Digest) -> ScriptBuf {
    ScriptBuf::new_op_return(commitment.as_bytes())
}

#[cfg(test)]
mod tests;
