//! Putting a bundle together from what the gateway and the audit service hold.

use ailayer_primitives::Network;
use bitcoin::block::Header;
use bitcoin::consensus::{deserialize, serialize};
use bitcoin::{Transaction, Witness};

use super::{Anchor, Bundle, BundleError, Coinbase, LogProof, MerkleBranch, VERSION};
use crate::keys::GatewayKey;
use crate::strict_hex;
use crate::verify::{Trust, VerifyError, verify};

/// Why no bundle was built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Bytes that are not a transaction.
    #[error("{0} is not a transaction")]
    Transaction(&'static str),
    /// Bytes that are not a block header, or none at all.
    #[error("anchor.headers is empty or holds what is not a header")]
    Header,
    /// A part is longer than the format allows.
    #[error("{0}")]
    Bounds(BundleError),
    /// The parts do not prove what a bundle must prove.
    #[error("the bundle would not verify: {0}")]
    Verify(VerifyError),
}

/// What a bundle is made of.
#[derive(Debug, Clone)]
pub struct BundleParts {
    /// Network of the money and of the anchor.
    pub network: Network,
    /// Key that signed the envelopes.
    pub gateway_key: GatewayKey,
    /// Verifier key of the log.
    pub log_vkey: String,
    /// Envelope of the quote, exact text.
    pub quote: String,
    /// Envelope of the receipt, exact text.
    pub receipt: String,
    /// The receipt's place in the log.
    pub receipt_proof: LogProof,
    /// Envelope of the closing entry and its place, when the anchored checkpoint covers it.
    pub closing: Option<(String, LogProof)>,
    /// The anchored checkpoint, a signed note.
    pub checkpoint: String,
    /// What ties the checkpoint to Bitcoin.
    pub anchor: AnchorParts,
}

/// The anchor as a chain source gives it: consensus bytes, hashes in internal byte order.
#[derive(Debug, Clone)]
pub struct AnchorParts {
    /// The transaction; witness data is dropped.
    pub transaction: Vec<u8>,
    /// Index of the output that carries the commitment.
    pub vout: u32,
    /// Position of the transaction in its block.
    pub position: u32,
    /// Sibling hashes from the transaction upwards.
    pub siblings: Vec<[u8; 32]>,
    /// What proves the block's height; without it the bundle states none.
    pub coinbase: Option<CoinbaseParts>,
    /// Headers from the anchoring block to the tip.
    pub headers: Vec<[u8; 80]>,
}

/// The first transaction of the anchoring block.
#[derive(Debug, Clone)]
pub struct CoinbaseParts {
    /// Height of the block.
    pub block_height: u32,
    /// The transaction; witness data is dropped.
    pub transaction: Vec<u8>,
    /// Sibling hashes from position 0 upwards.
    pub siblings: Vec<[u8; 32]>,
}

/// Builds a bundle and verifies it, pinned to nothing but its own network: a bundle that is handed out proves something.
///
/// # Errors
/// [`BuildError`] naming the part that does not fit.
pub fn build(parts: BundleParts) -> Result<Bundle, BuildError> {
    let bundle = assemble(parts)?;
    verify(&bundle, &Trust::default()).map_err(BuildError::Verify)?;
    Ok(bundle)
}

/// Puts the parts in their places without verifying them.
pub(crate) fn assemble(parts: BundleParts) -> Result<Bundle, BuildError> {
    let (closing, closing_proof) = parts.closing.unzip();
    let bundle = Bundle {
        version: VERSION,
        network: parts.network,
        gateway_key: parts.gateway_key,
        log_vkey: parts.log_vkey,
        quote: parts.quote,
        receipt: parts.receipt,
        closing,
        receipt_proof: parts.receipt_proof,
        closing_proof,
        checkpoint: parts.checkpoint,
        anchor: assemble_anchor(parts.anchor)?,
    };
    bundle.check_bounds().map_err(BuildError::Bounds)?;
    Ok(bundle)
}

fn assemble_anchor(parts: AnchorParts) -> Result<Anchor, BuildError> {
    let (block_height, coinbase) = match parts.coinbase {
        None => (None, None),
        Some(coinbase) => {
            let transaction = without_witness("anchor.coinbase.transaction", &coinbase.transaction)?;
            (Some(coinbase.block_height), Some(Coinbase { transaction, siblings: shown(&coinbase.siblings) }))
        }
    };
    let (first, last) = parts.headers.first().zip(parts.headers.last()).ok_or(BuildError::Header)?;
    Ok(Anchor {
        transaction: without_witness("anchor.transaction", &parts.transaction)?,
        vout: parts.vout,
        block_hash: block_hash(first)?,
        block_height,
        merkle_branch: MerkleBranch { position: parts.position, siblings: shown(&parts.siblings) },
        coinbase,
        headers: parts.headers.iter().map(hex::encode).collect(),
        tip_hash: block_hash(last)?,
    })
}

/// The transaction in the form that its id is the hash of.
fn without_witness(name: &'static str, bytes: &[u8]) -> Result<String, BuildError> {
    let mut transaction: Transaction = deserialize(bytes).map_err(|_| BuildError::Transaction(name))?;
    transaction.input.iter_mut().for_each(|input| input.witness = Witness::new());
    Ok(hex::encode(serialize(&transaction)))
}

fn block_hash(header: &[u8; 80]) -> Result<String, BuildError> {
    let header: Header = deserialize(header).map_err(|_| BuildError::Header)?;
    Ok(header.block_hash().to_string())
}

fn shown(hashes: &[[u8; 32]]) -> Vec<String> {
    hashes.iter().map(strict_hex::encode_reversed).collect()
}
