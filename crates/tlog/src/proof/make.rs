//! Computing proofs from stored nodes.

use crate::hash::NodeHash;
use crate::tree::{MAX_TREE_SIZE, NodeId, fold, subtrees};

/// Where complete nodes are read from. Every `Fn(level, index) -> Option<NodeHash>` is one.
pub trait NodeReader {
    /// Hash of a complete node, or `None` when the store does not have it.
    fn node(&self, level: u8, index: u64) -> Option<NodeHash>;
}

impl<F: Fn(u8, u64) -> Option<NodeHash>> NodeReader for F {
    fn node(&self, level: u8, index: u64) -> Option<NodeHash> {
        self(level, index)
    }
}

/// Why a proof could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MakeProofError {
    /// The tree size is above [`MAX_TREE_SIZE`].
    #[error("tree size {0} is above the limit")]
    TooLarge(u64),
    /// The leaf is not in the tree.
    #[error("leaf {leaf_index} is not in a tree of {tree_size} leaves")]
    NoSuchLeaf {
        /// Leaf asked for.
        leaf_index: u64,
        /// Tree asked for.
        tree_size: u64,
    },
    /// The older tree is larger than the newer one.
    #[error("tree size {old_size} is not a prefix of tree size {new_size}")]
    NotAPrefix {
        /// Size said to be the older.
        old_size: u64,
        /// Size said to be the newer.
        new_size: u64,
    },
    /// The reader lacks a node that a tree of this size must have.
    #[error("node level {} index {} is missing", .0.level, .0.index)]
    MissingNode(NodeId),
}

/// Leaves `start..end`, one hash of a proof.
#[derive(Debug, Clone, Copy)]
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    /// Splits at the largest power of two smaller than the width (RFC 6962's `k`). `None` for fewer than two leaves.
    fn split(self) -> Option<(Self, Self)> {
        let below = self.end.checked_sub(self.start)?.checked_sub(1)?;
        let middle = self.start.checked_add(1 << below.checked_ilog2()?)?;
        Some((Self { start: self.start, end: middle }, Self { start: middle, end: self.end }))
    }

    fn nodes(self) -> Vec<NodeId> {
        subtrees(self.start, self.end)
    }

    fn hash(self, reader: &impl NodeReader) -> Result<NodeHash, MakeProofError> {
        let read = |id: NodeId| reader.node(id.level, id.index).ok_or(MakeProofError::MissingNode(id));
        let hashes = self.nodes().into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(fold(&hashes))
    }
}

/// PATH(m, D[n]) of RFC 6962: the sibling ranges on the way to the leaf, lowest first.
fn inclusion_ranges(leaf_index: u64, tree_size: u64) -> Result<Vec<Range>, MakeProofError> {
    check_size(tree_size)?;
    if leaf_index >= tree_size {
        return Err(MakeProofError::NoSuchLeaf { leaf_index, tree_size });
    }
    let mut ranges = Vec::new();
    let mut range = Range { start: 0, end: tree_size };
    while let Some((left, right)) = range.split() {
        let (inside, sibling) = if leaf_index < right.start { (left, right) } else { (right, left) };
        ranges.push(sibling);
        range = inside;
    }
    ranges.reverse();
    Ok(ranges)
}

/// PROOF(m, D[n]) of RFC 6962: the ranges from which both roots can be computed, in the RFC's order.
fn consistency_ranges(old_size: u64, new_size: u64) -> Result<Vec<Range>, MakeProofError> {
    check_size(new_size)?;
    if old_size > new_size {
        return Err(MakeProofError::NotAPrefix { old_size, new_size });
    }
    if old_size == 0 || old_size == new_size {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::new();
    let mut range = Range { start: 0, end: new_size };
    while range.end != old_size {
        let Some((left, right)) = range.split() else { break };
        let (inside, sibling) = if old_size <= right.start { (left, right) } else { (right, left) };
        ranges.push(sibling);
        range = inside;
    }
    // The verifier knows the old root itself, but no other range that ends with the old tree.
    if range.start != 0 {
        ranges.push(range);
    }
    ranges.reverse();
    Ok(ranges)
}

fn check_size(tree_size: u64) -> Result<(), MakeProofError> {
    if tree_size > MAX_TREE_SIZE { Err(MakeProofError::TooLarge(tree_size)) } else { Ok(()) }
}

fn hashes(ranges: Vec<Range>, reader: &impl NodeReader) -> Result<Vec<NodeHash>, MakeProofError> {
    ranges.into_iter().map(|range| range.hash(reader)).collect()
}

fn nodes(ranges: Vec<Range>) -> Vec<NodeId> {
    ranges.into_iter().flat_map(Range::nodes).collect()
}

/// Nodes that [`inclusion_proof`] will read.
///
/// # Errors
/// [`MakeProofError`] when the leaf is not in the tree or the size is above the limit.
pub fn inclusion_nodes(leaf_index: u64, tree_size: u64) -> Result<Vec<NodeId>, MakeProofError> {
    Ok(nodes(inclusion_ranges(leaf_index, tree_size)?))
}

/// Nodes that [`consistency_proof`] will read.
///
/// # Errors
/// [`MakeProofError`] when the sizes are in the wrong order or above the limit.
pub fn consistency_nodes(old_size: u64, new_size: u64) -> Result<Vec<NodeId>, MakeProofError> {
    Ok(nodes(consistency_ranges(old_size, new_size)?))
}

/// Proof that the leaf is in the tree: at most 62 hashes, the leaf's sibling first.
///
/// # Errors
/// [`MakeProofError`] when the leaf is not in the tree, the size is above the limit or the reader lacks a node.
pub fn inclusion_proof(
    reader: &impl NodeReader,
    leaf_index: u64,
    tree_size: u64,
) -> Result<Vec<NodeHash>, MakeProofError> {
    hashes(inclusion_ranges(leaf_index, tree_size)?, reader)
}

/// Proof that the first `old_size` leaves of the newer tree are the older tree. Empty when the sizes are equal or the
/// older tree has no leaves.
///
/// # Errors
/// [`MakeProofError`] when the sizes are in the wrong order or above the limit, or the reader lacks a node.
pub fn consistency_proof(
    reader: &impl NodeReader,
    old_size: u64,
    new_size: u64,
) -> Result<Vec<NodeHash>, MakeProofError> {
    hashes(consistency_ranges(old_size, new_size)?, reader)
}

/// Root hash of the tree at a size it has or had.
///
/// # Errors
/// [`MakeProofError`] when the size is above the limit or the reader lacks a node.
pub fn root_at(reader: &impl NodeReader, tree_size: u64) -> Result<NodeHash, MakeProofError> {
    check_size(tree_size)?;
    Range { start: 0, end: tree_size }.hash(reader)
}
