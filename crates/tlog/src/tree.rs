//! The shape of the tree: which nodes are complete, what an append completes, and the frontier that carries it.
//!
//! A node at `level` l and `index` i covers the leaves `i * 2^l .. (i + 1) * 2^l`. It is *complete* once the tree holds
//! all of them, and from then on its hash never changes: a store keeps complete nodes only, keyed (level, index).
//! The hash of any tree size follows from complete nodes alone.

use crate::hash::{NodeHash, empty_root, node_hash};

/// Largest number of leaves: 2^62, so that a size and an index fit a signed 64-bit column and no sum here overflows.
pub const MAX_TREE_SIZE: u64 = 1 << 62;

/// Address of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId {
    /// Height above the leaves: 0 for a leaf.
    pub level: u8,
    /// Position within the level, counted from the left.
    pub index: u64,
}

/// A node whose hash is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CompleteNode {
    /// Where the node stands.
    pub id: NodeId,
    /// Its hash.
    pub hash: NodeHash,
}

/// Why a frontier refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The tree already holds [`MAX_TREE_SIZE`] leaves, or a size above it was given.
    #[error("a tree holds at most {MAX_TREE_SIZE} leaves")]
    TooLarge,
    /// The number of hashes given is not the number of complete subtrees of the size.
    #[error("a tree of {tree_size} leaves has {expected} complete subtrees, got {got} hashes")]
    WrongFrontier {
        /// Size the frontier was said to have.
        tree_size: u64,
        /// Number of complete subtrees of that size.
        expected: u32,
        /// Number of hashes given.
        got: usize,
    },
}

/// The right edge of a tree: the hashes of its complete subtrees, largest first.
///
/// Enough to append and to compute the root; at most 63 hashes whatever the tree's size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    tree_size: u64,
    /// One hash a set bit of `tree_size`, from the highest bit to the lowest.
    hashes: Vec<NodeHash>,
}

impl Frontier {
    /// The frontier of the tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { tree_size: 0, hashes: Vec::new() }
    }

    /// Takes up a tree where a store left it: the hashes of the nodes [`frontier_nodes`] names, in that order.
    ///
    /// # Errors
    /// [`TreeError`] when the size is too large or the number of hashes does not fit it.
    pub fn try_new(tree_size: u64, hashes: Vec<NodeHash>) -> Result<Self, TreeError> {
        if tree_size > MAX_TREE_SIZE {
            return Err(TreeError::TooLarge);
        }
        let expected = tree_size.count_ones();
        if usize::try_from(expected) != Ok(hashes.len()) {
            return Err(TreeError::WrongFrontier { tree_size, expected, got: hashes.len() });
        }
        Ok(Self { tree_size, hashes })
    }

    /// Number of leaves.
    #[must_use]
    pub const fn tree_size(&self) -> u64 {
        self.tree_size
    }

    /// Hashes of the complete subtrees, largest first: what [`Frontier::try_new`] takes.
    #[must_use]
    pub fn hashes(&self) -> &[NodeHash] {
        &self.hashes
    }

    /// Appends one leaf, whose index is the size before the call, and returns the nodes that became complete by it:
    /// the leaf first, then its ancestors upwards. Nothing changes on an error.
    ///
    /// # Errors
    /// [`TreeError::TooLarge`] when the tree is full.
    pub fn append(&mut self, leaf: NodeHash) -> Result<Vec<CompleteNode>, TreeError> {
        if self.tree_size >= MAX_TREE_SIZE {
            return Err(TreeError::TooLarge);
        }
        let mut node = CompleteNode { id: NodeId { level: 0, index: self.tree_size }, hash: leaf };
        let mut completed = vec![node];
        // An odd index is a right child: its left sibling is the last hash of the frontier, and their parent is complete.
        while node.id.index % 2 == 1 {
            let Some(left) = self.hashes.pop() else { break };
            let id = NodeId { level: node.id.level.saturating_add(1), index: node.id.index / 2 };
            node = CompleteNode { id, hash: node_hash(&left, &node.hash) };
            completed.push(node);
        }
        self.hashes.push(node.hash);
        self.tree_size = self.tree_size.saturating_add(1);
        Ok(completed)
    }

    /// Root hash of the tree: the complete subtrees folded from the right.
    #[must_use]
    pub fn root(&self) -> NodeHash {
        fold(&self.hashes)
    }
}

/// Addresses of the complete subtrees of a tree, largest first: what a store reads to build a [`Frontier`].
///
/// # Errors
/// [`TreeError::TooLarge`] for a size above [`MAX_TREE_SIZE`].
pub fn frontier_nodes(tree_size: u64) -> Result<Vec<NodeId>, TreeError> {
    if tree_size > MAX_TREE_SIZE {
        return Err(TreeError::TooLarge);
    }
    Ok(subtrees(0, tree_size))
}

/// The complete subtrees that make up the leaves `start..end`, left to right.
///
/// `start` must be a multiple of a power of two not below `end - start`, as every range of RFC 6962's recursion is.
pub(crate) fn subtrees(start: u64, end: u64) -> Vec<NodeId> {
    let mut nodes = Vec::new();
    let mut position = start;
    let mut left = end.saturating_sub(start);
    while let Some(level) = left.checked_ilog2() {
        nodes.push(NodeId { level: u8::try_from(level).unwrap_or(u8::MAX), index: position >> level });
        let width = 1 << level;
        position = position.saturating_add(width);
        left = left.saturating_sub(width);
    }
    nodes
}

/// Folds the hashes of complete subtrees, largest first, into the hash of their range.
pub(crate) fn fold(hashes: &[NodeHash]) -> NodeHash {
    let mut from_right = hashes.iter().rev();
    let Some(last) = from_right.next() else { return empty_root() };
    from_right.fold(*last, |right, left| node_hash(left, &right))
}

#[cfg(test)]
pub(crate) mod tests;
