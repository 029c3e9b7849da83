//! Reading the tree: its right edge, and proofs that are verified before they leave.

use ailayer_store::{Store, StoreError};
use ailayer_tlog::proof::{self, MakeProofError, NodeReader, ProofError};
use ailayer_tlog::tree::{TreeError, frontier_nodes};
use ailayer_tlog::{Frontier, NodeHash, NodeId};

use crate::store::log::{self, TreeHead};
use crate::store::node;

/// Why the tree could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeReadError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The leaf or the sizes asked for do not exist.
    #[error("the proof asked for does not exist: {0}")]
    NoSuchProof(MakeProofError),
    /// What is stored does not fit together.
    #[error("the stored log is damaged: {0}")]
    Damaged(String),
}

impl TreeReadError {
    fn damaged(what: impl std::fmt::Display) -> Self {
        Self::Damaged(what.to_string())
    }
}

impl From<TreeError> for TreeReadError {
    fn from(error: TreeError) -> Self {
        Self::damaged(error)
    }
}

impl From<ProofError> for TreeReadError {
    fn from(error: ProofError) -> Self {
        Self::damaged(error)
    }
}

impl From<MakeProofError> for TreeReadError {
    fn from(error: MakeProofError) -> Self {
        match error {
            MakeProofError::MissingNode(_) => Self::damaged(error),
            _ => Self::NoSuchProof(error),
        }
    }
}

/// The stored head with the frontier that belongs to it.
///
/// # Errors
/// [`TreeReadError::Damaged`] when the nodes of the right edge do not lead to the stored root.
pub async fn load(store: &Store) -> Result<(TreeHead, Frontier), TreeReadError> {
    let row = log::read(store.pool()).await?.ok_or_else(|| TreeReadError::damaged("there is no log"))?;
    let frontier = frontier_at(store, row.head.tree_size).await?;
    if frontier.root() != row.head.root_hash {
        return Err(TreeReadError::damaged("the nodes of the right edge do not lead to the root"));
    }
    Ok((row.head, frontier))
}

/// The frontier of the tree at a size it has or had.
pub async fn frontier_at(store: &Store, tree_size: u64) -> Result<Frontier, TreeReadError> {
    let ids = frontier_nodes(tree_size)?;
    let nodes = node::read(store.pool(), &ids).await?;
    let hash = |id: &NodeId| {
        nodes.node(id.level, id.index).ok_or_else(|| TreeReadError::from(MakeProofError::MissingNode(*id)))
    };
    Ok(Frontier::try_new(tree_size, ids.iter().map(hash).collect::<Result<_, _>>()?)?)
}

/// An inclusion proof and the root it was verified against: that of the size, as the stored nodes give it.
///
/// # Errors
/// [`TreeReadError::NoSuchProof`] when the leaf is not in a tree of that size.
pub async fn inclusion_proof(
    store: &Store,
    leaf_index: u64,
    tree_size: u64,
) -> Result<(Vec<NodeHash>, NodeHash), TreeReadError> {
    let mut ids = proof::inclusion_nodes(leaf_index, tree_size)?;
    ids.push(NodeId { level: 0, index: leaf_index });
    ids.extend(frontier_nodes(tree_size)?);
    let nodes = node::read(store.pool(), &ids).await?;
    let hashes = proof::inclusion_proof(&nodes, leaf_index, tree_size)?;
    let leaf = nodes.node(0, leaf_index).ok_or_else(|| TreeReadError::damaged("the leaf is missing"))?;
    let root = proof::root_at(&nodes, tree_size)?;
    proof::verify_inclusion(&leaf, leaf_index, tree_size, &hashes, &root)?;
    Ok((hashes, root))
}

/// A consistency proof, verified against both roots as the stored nodes give them.
///
/// # Errors
/// [`TreeReadError::NoSuchProof`] when the sizes are in the wrong order.
pub async fn consistency_proof(
    store: &Store,
    old_size: u64,
    new_size: u64,
) -> Result<Vec<NodeHash>, TreeReadError> {
    let mut ids = proof::consistency_nodes(old_size, new_size)?;
    ids.extend(frontier_nodes(old_size)?);
    ids.extend(frontier_nodes(new_size)?);
    let nodes = node::read(store.pool(), &ids).await?;
    let hashes = proof::consistency_proof(&nodes, old_size, new_size)?;
    let (old, new) = (proof::root_at(&nodes, old_size)?, proof::root_at(&nodes, new_size)?);
    proof::verify_consistency(old_size, &old, new_size, &new, &hashes)?;
    Ok(hashes)
}

/// Checks that a tree with this size and root is a prefix of the tree at `head`, by the stored nodes.
///
/// # Errors
/// [`TreeReadError::Damaged`] when it is not.
pub async fn check_consistency(
    store: &Store,
    (old_size, old_root): (u64, NodeHash),
    head: TreeHead,
) -> Result<(), TreeReadError> {
    let hashes = consistency_proof(store, old_size, head.tree_size).await?;
    Ok(proof::verify_consistency(old_size, &old_root, head.tree_size, &head.root_hash, &hashes)?)
}
