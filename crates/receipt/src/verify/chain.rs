//! The anchor: commitment, headers, merkle branches, confirmations.

use bitcoin::block::Header;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, Txid};

use crate::anchor::{Depth, check_branch, check_commitment, check_height, check_work};
use crate::anchor::{decode, decode_headers, decode_siblings};
use crate::bundle::{Anchor, Bundle};

use super::Trust;
use super::error::VerifyError;
use super::log::Logged;
use super::report::Checks;

/// The block that was found to hold the anchor.
#[derive(Debug)]
pub(super) struct Anchored {
    pub txid: Txid,
    pub block_hash: BlockHash,
    pub tip_hash: BlockHash,
    pub block_unix_s: u32,
    pub confirmations: usize,
}

pub(super) fn check(
    bundle: &Bundle,
    log: &Logged,
    trust: &Trust,
    checks: &mut Checks,
) -> Result<Anchored, VerifyError> {
    let anchor = &bundle.anchor;
    let transaction = decode(&anchor.transaction).map_err(VerifyError::AnchorTransaction)?;
    check_commitment(&transaction, anchor.vout, &log.commitment).map_err(VerifyError::AnchorTransaction)?;
    let txid = transaction.compute_txid();
    checks.push(format!("transaction {txid} output {} commits to the checkpoint", anchor.vout));

    let headers = decode_headers(&anchor.headers).map_err(VerifyError::Headers)?;
    check_work(&headers, bundle.network).map_err(VerifyError::Headers)?;
    let (first, tip_hash) = check_ends(&headers, anchor)?;
    checks.push(format!("{} linked headers carry proof of work for {}", headers.len(), bundle.network));

    let root = first.merkle_root.to_byte_array();
    let depth = check_coinbase(anchor, root, checks)?;
    let branch = &anchor.merkle_branch;
    let siblings = decode_siblings(&branch.siblings).map_err(VerifyError::MerkleBranch)?;
    check_branch(txid.to_byte_array(), branch.position, &siblings, depth, root)
        .map_err(VerifyError::MerkleBranch)?;
    let block_hash = first.block_hash();
    checks.push(format!("block {block_hash} holds the transaction at position {}", branch.position));

    check_trust(&headers, trust, checks)?;
    Ok(Anchored { txid, block_hash, tip_hash, block_unix_s: first.time, confirmations: headers.len() })
}

/// The first header and the hash of the last, which must be the stated ones.
fn check_ends<'h>(headers: &'h [Header], anchor: &Anchor) -> Result<(&'h Header, BlockHash), VerifyError> {
    let (first, last) = headers.first().zip(headers.last()).ok_or(VerifyError::BlockHash)?;
    if first.block_hash().to_string() != anchor.block_hash {
        return Err(VerifyError::BlockHash);
    }
    let tip_hash = last.block_hash();
    if tip_hash.to_string() == anchor.tip_hash { Ok((first, tip_hash)) } else { Err(VerifyError::TipHash) }
}

/// The coinbase proves the height, and the depth that every transaction of the block must have.
fn check_coinbase(anchor: &Anchor, root: [u8; 32], checks: &mut Checks) -> Result<Depth, VerifyError> {
    let half = |missing, present| Err(VerifyError::HalfHeight { missing, present });
    let (coinbase, block_height) = match (&anchor.coinbase, anchor.block_height) {
        (None, None) => return Ok(Depth::Unknown),
        (Some(_), None) => return half("block_height", "coinbase"),
        (None, Some(_)) => return half("coinbase", "block_height"),
        (Some(coinbase), Some(block_height)) => (coinbase, block_height),
    };
    let transaction = decode(&coinbase.transaction).map_err(VerifyError::Coinbase)?;
    check_height(&transaction, block_height).map_err(VerifyError::Coinbase)?;
    let siblings = decode_siblings(&coinbase.siblings).map_err(VerifyError::CoinbaseBranch)?;
    let depth = Depth::Known(siblings.len());
    check_branch(transaction.compute_txid().to_byte_array(), 0, &siblings, depth, root)
        .map_err(VerifyError::CoinbaseBranch)?;
    checks.push(format!("the block's coinbase states height {block_height}"));
    Ok(depth)
}

fn check_trust(headers: &[Header], trust: &Trust, checks: &mut Checks) -> Result<(), VerifyError> {
    let found = headers.len();
    let required = trust.min_confirmations;
    if usize::try_from(required).map_or(true, |required| found < required) {
        return Err(VerifyError::Confirmations { found, required });
    }
    if let Some(trusted) = trust.trusted_block {
        if !headers.iter().any(|header| header.block_hash() == trusted) {
            return Err(VerifyError::TrustedBlock);
        }
        checks.push(format!("trusted block {trusted} is among the headers"));
    }
    Ok(())
}
