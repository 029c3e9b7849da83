//! Inclusion and consistency proofs of RFC 6962 section 2.1 (same as RFC 9162 sections 2.1.3 and 2.1.4).
//!
//! Making one reads complete nodes; a store that cannot be called in the middle (SQL) first asks which nodes a proof
//! needs ([`inclusion_nodes`], [`consistency_nodes`], [`crate::tree::frontier_nodes`]), fetches them at once and then
//! answers from memory. Verifying needs nothing but the proof.

mod make;
mod verify;

pub use make::{
    MakeProofError, NodeReader, consistency_nodes, consistency_proof, inclusion_nodes, inclusion_proof,
    root_at,
};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

#[cfg(test)]
mod tests;
