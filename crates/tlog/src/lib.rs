//! An append-only Merkle log, without a store, a clock or a socket.
//!
//! - [`hash`]: leaf and node hashing of RFC 6962 section 2.1 (same as RFC 9162).
//! - [`tree`]: the frontier that appends with O(log n) hashes, and the node addresses a store keys by.
//! - [`proof`]: inclusion and consistency proofs, computed from stored nodes and verified without them.
//! - [`note`]: C2SP signed notes with Ed25519 keys.
//! - [`promise`]: the log's signed word on an entry's index, before any checkpoint covers it.
//! - [`checkpoint`]: C2SP checkpoints (origin, tree size, root hash) inside signed notes.
//!
//! Everything a peer can send is bounded and answered by a typed error; nothing here panics on input.

pub mod checkpoint;
pub mod hash;
pub mod note;
pub mod promise;
pub mod proof;
pub mod tree;

pub use checkpoint::Checkpoint;
pub use hash::{NodeHash, empty_root, leaf_hash, node_hash};
pub use promise::IndexPromise;
pub use tree::{CompleteNode, Frontier, MAX_TREE_SIZE, NodeId};
