//! The proof bundle of a job: put together from what the gateway and the audit log hold, and verified before it is
//! handed out.

use ailayer_client::audit::{Anchor, EntryProof};
use ailayer_primitives::Network;
use ailayer_receipt::bundle::{AnchorParts, BuildError, BundleParts, LogProof, build};
use ailayer_receipt::{Bundle, GatewayKey};
use thiserror::Error;

use crate::store::JobRecord;

/// Why there is no bundle although the receipt is anchored.
#[derive(Debug, Error)]
pub enum ProofError {
    /// The log's answer lacks a part or holds a malformed one.
    #[error("the audit log answered an anchor without {0}")]
    Incomplete(&'static str),
    /// The parts do not prove what they should.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// Who vouches.
#[derive(Debug, Clone)]
pub struct ProofContext {
    /// Network of money and anchor.
    pub network: Network,
    /// The gateway's key.
    pub gateway_key: GatewayKey,
    /// The log's key in signed-note form.
    pub log_vkey: String,
}

/// The bundle of a job whose receipt is anchored; none before that.
pub fn bundle(
    context: &ProofContext,
    record: &JobRecord,
    proof: &EntryProof,
) -> Result<Option<Bundle>, ProofError> {
    let (Some(anchor), Some(receipt)) = (&proof.anchor, &record.receipt) else { return Ok(None) };
    let tree_size = proof.tree_size;
    let closing = record.closing.clone().zip(proof.with.as_ref()).map(|(closing, covered)| {
        let hashes = covered.inclusion.clone();
        (closing, LogProof { leaf_index: covered.leaf_index, tree_size, hashes })
    });
    let parts = BundleParts {
        network: context.network,
        gateway_key: context.gateway_key,
        log_vkey: context.log_vkey.clone(),
        quote: record.quote.clone(),
        receipt: receipt.clone(),
        receipt_proof: LogProof { leaf_index: proof.leaf_index, tree_size, hashes: proof.inclusion.clone() },
        closing,
        checkpoint: proof.checkpoint.clone(),
        anchor: anchor_parts(anchor, proof.headers.clone())?,
    };
    Ok(Some(build(parts)?))
}

fn anchor_parts(anchor: &Anchor, headers: Vec<[u8; 80]>) -> Result<AnchorParts, ProofError> {
    let branch = anchor.merkle_branch.as_ref().ok_or(ProofError::Incomplete("a merkle branch"))?;
    let siblings = branch.siblings.iter().map(|hash| <[u8; 32]>::try_from(hash.as_slice()));
    Ok(AnchorParts {
        transaction: anchor.raw.clone(),
        vout: anchor.vout,
        position: branch.position,
        siblings: siblings
            .collect::<Result<_, _>>()
            .map_err(|_| ProofError::Incomplete("hashes of 32 bytes"))?,
        coinbase: None,
        headers,
    })
}
