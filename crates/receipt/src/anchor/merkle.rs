//! Merkle branches of Bitcoin blocks, with guards against their known ambiguities.
//!
//! Bitcoin hashes leaves and inner nodes alike, so an inner node of 64 bytes can be passed off as a transaction, or a
//! transaction of 64 bytes as an inner node above a transaction that is in no block. And a last node without a
//! sibling is paired with itself, so one transaction can seem to stand at two positions (CVE-2012-2459).

use bitcoin::Transaction;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::{Hash, sha256d};

use crate::strict_hex;

/// What is wrong with a merkle branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    /// A sibling is not 64 lower-case hexadecimal digits; counted from 0.
    #[error("siblings[{0}] is not 64 lower-case hexadecimal digits")]
    Sibling(usize),
    /// The position cannot exist at this depth.
    #[error("position {0} is not within a tree of that depth")]
    Position(u32),
    /// A right child equals its left sibling.
    #[error("position is that of a repeated last transaction")]
    Repeated,
    /// A node of the branch is itself a transaction.
    #[error("a node of the branch could be a 64-byte transaction")]
    Ambiguous,
    /// The branch is not as deep as the coinbase's, and every transaction of a block is equally deep.
    #[error("depth {branch} is not the coinbase's depth {coinbase}")]
    Depth {
        /// Depth of this branch.
        branch: usize,
        /// Depth of the coinbase's branch.
        coinbase: usize,
    },
    /// The branch leads to another merkle root.
    #[error("does not lead to the merkle root of the block's header")]
    Root,
}

/// How a branch is guarded against 64-byte transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The depth of the tree is known from the coinbase.
    Known(usize),
    /// It is not: no node of the branch may read as a transaction.
    Unknown,
}

/// Reads siblings written as explorers show transaction ids; returns internal byte order.
pub(crate) fn decode_siblings(siblings: &[String]) -> Result<Vec<[u8; 32]>, MerkleError> {
    let decode = |(index, text): (usize, &String)| {
        strict_hex::decode_reversed(text).map_err(|_| MerkleError::Sibling(index))
    };
    siblings.iter().enumerate().map(decode).collect()
}

/// Checks that the transaction stands at the position in the tree with this root. Hashes in internal byte order.
pub(crate) fn check_branch(
    txid: [u8; 32],
    position: u32,
    siblings: &[[u8; 32]],
    depth: Depth,
    root: [u8; 32],
) -> Result<(), MerkleError> {
    if let Depth::Known(coinbase) = depth
        && coinbase != siblings.len()
    {
        return Err(MerkleError::Depth { branch: siblings.len(), coinbase });
    }
    let mut place = position;
    let mut hash = txid;
    for sibling in siblings {
        let is_right = place % 2 == 1;
        if is_right && *sibling == hash {
            return Err(MerkleError::Repeated);
        }
        let node = if is_right { [*sibling, hash] } else { [hash, *sibling] }.concat();
        if depth == Depth::Unknown && deserialize::<Transaction>(&node).is_ok() {
            return Err(MerkleError::Ambiguous);
        }
        hash = sha256d::Hash::hash(&node).to_byte_array();
        place >>= 1;
    }
    if place != 0 {
        return Err(MerkleError::Position(position));
    }
    if hash == root { Ok(()) } else { Err(MerkleError::Root) }
}
