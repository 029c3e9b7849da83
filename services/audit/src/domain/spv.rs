//! Checking what the indexer says about the chain: merkle branches and header chains.
//!
//! The indexer checked both; checking again here costs microseconds and means that a proof which this service stores
//! and hands out was verified by the service that vouches for it. Difficulty adjustment is the indexer's business, and
//! the offline verifier's.

use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::{Hash, HashEngine, sha256d};
use bitcoin::{BlockHash, Txid};

/// Most levels of a block's merkle tree: more than any block of consensus size can have.
const MAX_BRANCH_HASHES: usize = 32;

/// A block by hash and height, always together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// Hash of its header.
    pub block_hash: BlockHash,
    /// Height; genesis is 0.
    pub height: u32,
}

/// The proof that a transaction is in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleBranch {
    /// Position of the transaction in the block, from 0.
    pub position: u32,
    /// Sibling hashes from the leaf upwards, internal byte order.
    pub siblings: Vec<[u8; 32]>,
}

/// Why chain data does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpvError {
    /// The branch is longer than any block's tree is high.
    #[error("the merkle branch is too long")]
    BranchTooLong,
    /// The position does not exist in a tree of the branch's height.
    #[error("the position is outside the merkle tree")]
    PositionOutsideTree,
    /// The branch leads to another root than the header's.
    #[error("the merkle branch leads to another root")]
    RootMismatch,
    /// Bytes are no header.
    #[error("a header is malformed")]
    MalformedHeader,
    /// There are no headers.
    #[error("no headers were given")]
    NoHeaders,
    /// The first header is not the block's.
    #[error("the first header is not that of the block")]
    WrongBlock,
    /// A header does not link to the one before.
    #[error("header {0} does not link to the one before")]
    BrokenLink(usize),
    /// A header does not meet the target it states.
    #[error("header {0} does not meet its target")]
    ProofOfWork(usize),
}

/// Checks that the transaction stands at the branch's position under the header's merkle root.
///
/// # Errors
/// [`SpvError`] naming what does not fit.
pub fn verify_branch(txid: Txid, branch: &MerkleBranch, header: &Header) -> Result<(), SpvError> {
    if branch.siblings.len() > MAX_BRANCH_HASHES {
        return Err(SpvError::BranchTooLong);
    }
    let mut position = branch.position;
    let mut hash = txid.to_byte_array();
    for sibling in &branch.siblings {
        let (left, right) = if position.is_multiple_of(2) { (&hash, sibling) } else { (sibling, &hash) };
        let mut engine = sha256d::Hash::engine();
        engine.input(left);
        engine.input(right);
        hash = sha256d::Hash::from_engine(engine).to_byte_array();
        position /= 2;
    }
    if position != 0 {
        return Err(SpvError::PositionOutsideTree);
    }
    if hash == header.merkle_root.to_byte_array() { Ok(()) } else { Err(SpvError::RootMismatch) }
}

/// Checks that the headers start with the block's own and link to one another, each with the work it states.
///
/// # Errors
/// [`SpvError`] naming what does not fit.
pub fn verify_headers(block_hash: BlockHash, headers: &[Header]) -> Result<(), SpvError> {
    let first = headers.first().ok_or(SpvError::NoHeaders)?;
    if first.block_hash() != block_hash {
        return Err(SpvError::WrongBlock);
    }
    let mut previous: Option<BlockHash> = None;
    for (position, header) in headers.iter().enumerate() {
        if previous.is_some_and(|hash| hash != header.prev_blockhash) {
            return Err(SpvError::BrokenLink(position));
        }
        let hash = header.validate_pow(header.target()).map_err(|_| SpvError::ProofOfWork(position))?;
        previous = Some(hash);
    }
    Ok(())
}

/// Reads stored headers.
///
/// # Errors
/// [`SpvError::MalformedHeader`].
pub fn decode_headers(headers: &[[u8; 80]]) -> Result<Vec<Header>, SpvError> {
    let header = |bytes: &[u8; 80]| encode::deserialize(bytes).map_err(|_| SpvError::MalformedHeader);
    headers.iter().map(header).collect()
}

/// Writes headers as they are stored and sent.
pub fn encode_headers(headers: &[Header]) -> Vec<[u8; 80]> {
    // A header always takes 80 bytes in consensus encoding.
    headers.iter().filter_map(|header| encode::serialize(header).try_into().ok()).collect()
}

#[cfg(test)]
mod tests;
