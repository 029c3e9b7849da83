//! Proofs that a transaction is in a block.

use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256d};
use bitcoin::{Amount, Transaction, TxMerkleNode, Txid};
use thiserror::Error;

/// A block of 4 M weight units holds fewer than 2^17 transactions; more levels than this prove nothing.
const MAX_DEPTH: usize = 17;
/// A transaction of this many bytes without witness could be taken for an inner node of the tree.
const INNER_NODE_BYTES: usize = 64;

/// The way from a transaction to its block's merkle root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleBranch {
    /// The transaction's position in the block, from 0.
    pub position: u32,
    /// Sibling hashes from the leaf upwards, in internal byte order.
    pub siblings: Vec<[u8; 32]>,
}

/// Why a branch proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MerkleError {
    /// More siblings than a block can have levels.
    #[error("merkle branch is deeper than any block")]
    TooDeep,
    /// The position lies outside the tree, or names the copy of an odd last node.
    #[error("merkle branch names a position that does not exist")]
    ImpossiblePosition,
    /// The leaf, or a node on the way, could be both a transaction and an inner node.
    #[error("merkle branch is ambiguous: 64 bytes read as a transaction and as two hashes")]
    Ambiguous,
    /// The branch leads to another root.
    #[error("merkle branch does not lead to the block's merkle root")]
    WrongRoot,
}

impl MerkleBranch {
    /// Proves that `transaction` is in the block with `root`.
    ///
    /// Refuses what a block with a crafted 64-byte transaction could pretend (CVE-2017-12842): such a
    /// transaction as leaf, and inner nodes whose 64 bytes decode as a transaction. Refuses the phantom
    /// positions of duplicated last nodes (CVE-2012-2459).
    pub fn verify(&self, transaction: &Transaction, root: TxMerkleNode) -> Result<(), MerkleError> {
        let txid = transaction.compute_txid();
        if transaction.base_size() == INNER_NODE_BYTES {
            return Err(MerkleError::Ambiguous);
        }
        if self.fold(txid)? == root { Ok(()) } else { Err(MerkleError::WrongRoot) }
    }

    fn fold(&self, txid: Txid) -> Result<TxMerkleNode, MerkleError> {
        if self.siblings.len() > MAX_DEPTH {
            return Err(MerkleError::TooDeep);
        }
        let mut position = self.position;
        let mut node = txid.to_byte_array();
        for sibling in &self.siblings {
            let is_right = position & 1 == 1;
            if is_right && node == *sibling {
                return Err(MerkleError::ImpossiblePosition);
            }
            node = if is_right { parent(sibling, &node)? } else { parent(&node, sibling)? };
            position >>= 1;
        }
        if position != 0 {
            return Err(MerkleError::ImpossiblePosition);
        }
        Ok(TxMerkleNode::from_byte_array(node))
    }
}

fn parent(left: &[u8; 32], right: &[u8; 32]) -> Result<[u8; 32], MerkleError> {
    let bytes = [left.as_slice(), right.as_slice()].concat();
    if could_be_transaction(&bytes) {
        return Err(MerkleError::Ambiguous);
    }
    let mut engine = sha256d::Hash::engine();
    engine.input(&bytes);
    Ok(sha256d::Hash::from_engine(engine).to_byte_array())
}

/// True for bytes that a block could hold as a transaction.
///
/// As strict as consensus about counts and amounts: two honest hashes pass for a transaction once in 2^40
/// nodes, where mere decoding would refuse an honest proof about once in a million.
fn could_be_transaction(bytes: &[u8]) -> bool {
    deserialize::<Transaction>(bytes).is_ok_and(|transaction| {
        transaction.base_size() == bytes.len()
            && !transaction.input.is_empty()
            && !transaction.output.is_empty()
            && transaction.output.iter().all(|output| output.value <= Amount::MAX_MONEY)
    })
}

#[cfg(test)]
mod tests;
