//! The anchoring transaction and the block's first transaction.

use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Transaction, script};

use super::{Digest, commitment_script};
use crate::strict_hex;

/// Length at which a transaction can pass for two concatenated node hashes.
const AMBIGUOUS_LENGTH: usize = 64;

/// What is wrong with a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Not lower-case hexadecimal of a transaction.
    #[error("not a transaction in lower-case hexadecimal")]
    Malformed,
    /// Carries witness data, which its id does not cover.
    #[error("carries witness data, which its txid does not cover")]
    Witness,
    /// 64 bytes long: it could be an inner node of the block's merkle tree.
    #[error("a transaction of 64 bytes can be mistaken for a merkle tree node")]
    Ambiguous,
    /// The output does not exist.
    #[error("has no output {0}")]
    NoSuchOutput(u32),
    /// The output does not commit to the checkpoint.
    #[error("output is not OP_RETURN with the SHA-256 of the checkpoint's body")]
    Commitment,
    /// Not the first transaction of a block.
    #[error("is not a coinbase transaction")]
    NotCoinbase,
    /// The script of the coinbase states another height.
    #[error("does not state block_height {0}")]
    Height(u32),
}

/// Reads a transaction that has one spelling and cannot pass for a node of the merkle tree.
pub(crate) fn decode(text: &str) -> Result<Transaction, TransactionError> {
    let bytes = strict_hex::decode(text).map_err(|_| TransactionError::Malformed)?;
    let transaction: Transaction = deserialize(&bytes).map_err(|_| TransactionError::Malformed)?;
    if transaction.input.iter().any(|input| !input.witness.is_empty()) {
        return Err(TransactionError::Witness);
    }
    if bytes.len() == AMBIGUOUS_LENGTH {
        return Err(TransactionError::Ambiguous);
    }
    if serialize(&transaction) == bytes { Ok(transaction) } else { Err(TransactionError::Malformed) }
}

/// Checks that the output commits to the checkpoint.
pub(crate) fn check_commitment(
    transaction: &Transaction,
    vout: u32,
    commitment: &Digest,
) -> Result<(), TransactionError> {
    let index = usize::try_from(vout).map_err(|_| TransactionError::NoSuchOutput(vout))?;
    let output = transaction.output.get(index).ok_or(TransactionError::NoSuchOutput(vout))?;
    if output.script_pubkey == commitment_script(commitment) {
        Ok(())
    } else {
        Err(TransactionError::Commitment)
    }
}

/// Checks that a coinbase states the height: its script begins with it (BIP 34).
pub(crate) fn check_height(coinbase: &Transaction, block_height: u32) -> Result<(), TransactionError> {
    let input =
        coinbase.input.first().filter(|_| coinbase.is_coinbase()).ok_or(TransactionError::NotCoinbase)?;
    let prefix = script::Builder::new().push_int(i64::from(block_height)).into_script();
    if input.script_sig.as_bytes().starts_with(prefix.as_bytes()) {
        Ok(())
    } else {
        Err(TransactionError::Height(block_height))
    }
}
