//! Why a bundle does not verify.

use std::fmt;

use ailayer_primitives::Network;
use ailayer_tlog::checkpoint::CheckpointError;
use ailayer_tlog::note::KeyError;
use ailayer_tlog::proof::ProofError;

use crate::anchor::{HeadersError, MerkleError, TransactionError};
use crate::bundle::BundleError;
use crate::digest::DigestError;
use crate::envelope::EnvelopeError;

/// A part of the bundle that holds a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The quote.
    Quote,
    /// The receipt.
    Receipt,
    /// The closing entry.
    Closing,
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Quote => "quote",
            Self::Receipt => "receipt",
            Self::Closing => "closing",
        })
    }
}

/// The check that failed. Its text begins with the part of the bundle that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The file is not a bundle.
    #[error("bundle: {0}")]
    Bundle(BundleError),
    /// The caller requires another network.
    #[error("network: bundle is for {found}, {required} is required")]
    NetworkNotRequired {
        /// What the caller requires.
        required: Network,
        /// What the bundle says.
        found: Network,
    },
    /// The caller knows another gateway key.
    #[error("gateway_key: not the pinned key")]
    GatewayKeyNotPinned,
    /// The log's key is malformed.
    #[error("log_vkey: {0}")]
    LogKey(KeyError),
    /// The caller knows another log key.
    #[error("log_vkey: not the pinned key")]
    LogKeyNotPinned,
    /// An envelope is malformed, or not signed by the gateway key, or its statement is malformed.
    #[error("{0}: {1}")]
    Envelope(Part, EnvelopeError),
    /// A field of a statement is not what another part says.
    #[error("{part}: {field} is not that of {other}")]
    Link {
        /// The statement whose field it is.
        part: Part,
        /// The field.
        field: &'static str,
        /// What it should agree with.
        other: &'static str,
    },
    /// More was taken, or used, than was quoted.
    #[error("receipt: {0} is above the quote's")]
    AboveQuote(&'static str),
    /// A settled job whose amount is below the price.
    #[error("closing: amount_msat of a SETTLED job is below the receipt's price_msat")]
    SettledBelowPrice,
    /// The caller's request or output cannot be digested.
    #[error("the given {0} cannot be digested: {1}")]
    Undigestible(&'static str, DigestError),
    /// The caller's texts are not those the receipt is for.
    #[error("receipt: request_digest is not that of the given texts")]
    OtherRequest,
    /// The caller's tensors are not those the receipt is for.
    #[error("receipt: request_digest is not that of the given tensors")]
    OtherTensors,
    /// The receipt counts other bytes than the caller sent.
    #[error("receipt: usage.tensor_bytes is not the number of bytes of the given tensors")]
    OtherBytes,
    /// The caller's output is not the one the receipt is for.
    #[error("receipt: output_digest is not that of the given output")]
    OtherOutput,
    /// The caller's ciphertext is not the one the receipt is for, or the answer was not sealed.
    #[error("receipt: sealed_digest is not that of the given ciphertext")]
    OtherCiphertext,
    /// The receipt counts other rows than the caller sent or got.
    #[error("receipt: usage.rows is not the number of the given {0}")]
    OtherRows(&'static str),
    /// A closing entry without proof, or a proof without closing entry.
    #[error("{missing}: missing although {present} is there")]
    HalfClosing {
        /// The key that is missing.
        missing: &'static str,
        /// The key that is there.
        present: &'static str,
    },
    /// The checkpoint is malformed or not signed by the log.
    #[error("checkpoint: {0}")]
    Checkpoint(CheckpointError),
    /// A proof is for another tree than the checkpoint's.
    #[error("{0}_proof.tree_size: not that of the checkpoint")]
    ProofSize(Part),
    /// An entry is not under the checkpoint.
    #[error("{0}_proof: {0} is not in the log: {1}")]
    Inclusion(Part, ProofError),
    /// The anchoring transaction is malformed or does not commit to the checkpoint.
    #[error("anchor.transaction: {0}")]
    AnchorTransaction(TransactionError),
    /// The headers are malformed, unlinked or without enough work.
    #[error("anchor.headers: {0}")]
    Headers(HeadersError),
    /// The stated block is not the first header.
    #[error("anchor.block_hash: not the hash of the first header")]
    BlockHash,
    /// The stated tip is not the last header.
    #[error("anchor.tip_hash: not the hash of the last header")]
    TipHash,
    /// The height is stated without a coinbase, or a coinbase is there without a height.
    #[error("anchor.{missing}: missing although anchor.{present} is there")]
    HalfHeight {
        /// The key that is missing.
        missing: &'static str,
        /// The key that is there.
        present: &'static str,
    },
    /// The coinbase is malformed or states another height.
    #[error("anchor.coinbase: {0}")]
    Coinbase(TransactionError),
    /// The coinbase is not the block's first transaction.
    #[error("anchor.coinbase: merkle branch: {0}")]
    CoinbaseBranch(MerkleError),
    /// The anchoring transaction is not in the block.
    #[error("anchor.merkle_branch: {0}")]
    MerkleBranch(MerkleError),
    /// Fewer blocks than the caller asks for.
    #[error("anchor.headers: {found} confirmations, {required} are required")]
    Confirmations {
        /// Headers in the bundle.
        found: usize,
        /// What the caller requires.
        required: u32,
    },
    /// The block that the caller trusts is not among the headers.
    #[error("anchor.headers: the trusted block is not among them")]
    TrustedBlock,
}
