//! Verifying proofs: the algorithms of RFC 9162 sections 2.1.3.2 and 2.1.4.2.

use crate::hash::{NodeHash, empty_root, node_hash};

/// What is wrong with a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf cannot be in a tree of that size.
    #[error("leaf index {leaf_index} is outside a tree of {tree_size} leaves")]
    IndexOutsideTree {
        /// Leaf the proof is said to be for.
        leaf_index: u64,
        /// Tree the proof is said to be for.
        tree_size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("old tree size {old_size} is above new tree size {new_size}")]
    SizesReversed {
        /// Size said to be the older.
        old_size: u64,
        /// Size said to be the newer.
        new_size: u64,
    },
    /// Hashes are missing for a tree of this size.
    #[error("the proof has too few hashes ({0})")]
    TooFewHashes(usize),
    /// Hashes are left over for a tree of this size.
    #[error("the proof has too many hashes ({0})")]
    TooManyHashes(usize),
    /// The leaf and the proof lead to another root.
    #[error("the leaf and the proof lead to another root hash")]
    RootMismatch,
    /// The proof leads to another root of the older tree.
    #[error("the proof leads to another root hash of the old tree")]
    OldRootMismatch,
    /// The proof leads to another root of the newer tree.
    #[error("the proof leads to another root hash of the new tree")]
    NewRootMismatch,
}

/// Walks from a leaf position to the root; both numbers lose a bit a level.
struct Walk {
    /// Index of the current node on its level.
    node: u64,
    /// Index of the last node on the same level.
    last: u64,
}

/// Side on which the next hash of the proof stands.
enum Side {
    Left,
    Right,
}

impl Walk {
    /// Side of the next proof hash, having moved to the parent; `None` at the root.
    fn climb(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        let side = if self.node % 2 == 1 || self.node == self.last { Side::Left } else { Side::Right };
        if matches!(side, Side::Left) {
            // A last node that is a left child has no sibling on these levels: it rises until it is a right child.
            while self.node.is_multiple_of(2) && self.node != 0 {
                self.up();
            }
        }
        self.up();
        Some(side)
    }

    fn up(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }

    const fn at_root(&self) -> bool {
        self.last == 0
    }
}

/// Checks that the leaf with this hash stands at `leaf_index` in the tree of `tree_size` leaves with this root.
///
/// # Errors
/// [`ProofError`] naming what does not fit.
pub fn verify_inclusion(
    leaf: &NodeHash,
    leaf_index: u64,
    tree_size: u64,
    proof: &[NodeHash],
    root: &NodeHash,
) -> Result<(), ProofError> {
    let outside = ProofError::IndexOutsideTree { leaf_index, tree_size };
    let last = tree_size.checked_sub(1).filter(|last| leaf_index <= *last).ok_or(outside)?;
    let mut walk = Walk { node: leaf_index, last };
    let mut hash = *leaf;
    for sibling in proof {
        hash = match walk.climb().ok_or(ProofError::TooManyHashes(proof.len()))? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
    }
    if !walk.at_root() {
        return Err(ProofError::TooFewHashes(proof.len()));
    }
    if hash == *root { Ok(()) } else { Err(ProofError::RootMismatch) }
}

/// Checks that the tree of `old_size` leaves with `old_root` is a prefix of the tree of `new_size` leaves with
/// `new_root`. The tree without leaves is a prefix of every tree, by an empty proof.
///
/// # Errors
/// [`ProofError`] naming what does not fit.
pub fn verify_consistency(
    old_size: u64,
    old_root: &NodeHash,
    new_size: u64,
    new_root: &NodeHash,
    proof: &[NodeHash],
) -> Result<(), ProofError> {
    if old_size > new_size {
        return Err(ProofError::SizesReversed { old_size, new_size });
    }
    if old_size == 0 || old_size == new_size {
        return verify_trivial(old_size, old_root, new_size, new_root, proof);
    }
    // Rise over complete right subtrees of the old tree: they are one hash.
    let mut walk = Walk { node: old_size.saturating_sub(1), last: new_size.saturating_sub(1) };
    while walk.node % 2 == 1 {
        walk.up();
    }
    // A complete old tree is itself the first hash, which the verifier has already.
    let (first, rest) = if old_size.is_power_of_two() {
        (old_root, proof)
    } else {
        proof.split_first().ok_or(ProofError::TooFewHashes(0))?
    };
    let (mut old, mut new) = (*first, *first);
    for hash in rest {
        match walk.climb().ok_or(ProofError::TooManyHashes(proof.len()))? {
            Side::Left => {
                old = node_hash(hash, &old);
                new = node_hash(hash, &new);
            }
            Side::Right => new = node_hash(&new, hash),
        }
    }
    if !walk.at_root() {
        return Err(ProofError::TooFewHashes(proof.len()));
    }
    if old != *old_root {
        return Err(ProofError::OldRootMismatch);
    }
    if new == *new_root { Ok(()) } else { Err(ProofError::NewRootMismatch) }
}

/// The older tree has no leaves, or both trees are the same: there is nothing to prove but the roots.
fn verify_trivial(
    old_size: u64,
    old_root: &NodeHash,
    new_size: u64,
    new_root: &NodeHash,
    proof: &[NodeHash],
) -> Result<(), ProofError> {
    if !proof.is_empty() {
        return Err(ProofError::TooManyHashes(proof.len()));
    }
    if old_size == 0 && *old_root != empty_root() {
        return Err(ProofError::OldRootMismatch);
    }
    if old_size == new_size && old_root != new_root {
        return Err(ProofError::NewRootMismatch);
    }
    Ok(())
}
