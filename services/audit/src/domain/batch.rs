//! One group commit: what a batch of waiting entries adds to the tree.

use std::collections::HashMap;

use ailayer_primitives::UnixMs;
use ailayer_tlog::tree::TreeError;
use ailayer_tlog::{CompleteNode, Frontier, NodeHash};

use super::entry::Placement;

/// Where and when an entry was sequenced before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequenced {
    /// Index of the entry.
    pub leaf_index: u64,
    /// When it was sequenced.
    pub at: UnixMs,
}

/// An entry of the batch that the log did not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewLeaf {
    /// Position of the entry in the batch.
    pub position: usize,
    /// Index it gets.
    pub leaf_index: u64,
    /// Its leaf hash.
    pub leaf_hash: NodeHash,
}

/// Everything one transaction writes, and the answer to each request.
#[derive(Debug)]
pub struct BatchPlan {
    /// New entries, ascending by index, without gaps from the size before.
    pub leaves: Vec<NewLeaf>,
    /// Inner nodes (level 1 and above) that the new entries complete.
    pub nodes: Vec<CompleteNode>,
    /// The tree's right edge afterwards.
    pub frontier: Frontier,
    /// One placement a request, in the order of the batch.
    pub placements: Vec<Placement>,
}

/// Plans a batch: every request is answered as if the entries had come one after the other.
///
/// `known` holds those leaf hashes of the batch that are in the log already.
///
/// # Errors
/// [`TreeError::TooLarge`] when the log is full; nothing is planned then.
pub fn plan(
    before: &Frontier,
    leaf_hashes: &[NodeHash],
    known: &HashMap<NodeHash, Sequenced>,
    now: UnixMs,
) -> Result<BatchPlan, TreeError> {
    let mut plan = BatchPlan {
        leaves: Vec::new(),
        nodes: Vec::new(),
        frontier: before.clone(),
        placements: Vec::with_capacity(leaf_hashes.len()),
    };
    let mut placed: HashMap<NodeHash, Sequenced> = known.clone();
    for (position, leaf_hash) in leaf_hashes.iter().copied().enumerate() {
        let placement = match placed.get(&leaf_hash) {
            Some(Sequenced { leaf_index, at }) => {
                Placement { leaf_index: *leaf_index, sequenced: *at, duplicate: true }
            }
            None => {
                let leaf_index = plan.frontier.tree_size();
                let completed = plan.frontier.append(leaf_hash)?;
                plan.nodes.extend(completed.into_iter().filter(|node| node.id.level > 0));
                plan.leaves.push(NewLeaf { position, leaf_index, leaf_hash });
                placed.insert(leaf_hash, Sequenced { leaf_index, at: now });
                Placement { leaf_index, sequenced: now, duplicate: false }
            }
        };
        plan.placements.push(placement);
    }
    Ok(plan)
}

#[cfg(test)]
mod tests;
