use proptest::prelude::*;

use super::*;
use crate::hash::{NodeHash, empty_root, leaf_hash, node_hash};
use crate::tree::MAX_TREE_SIZE;
use crate::tree::tests::{grow, leaves, naive_root, reference_entries};

fn small(value: u64) -> usize {
    usize::try_from(value).expect("small")
}

fn split(leaves: &[NodeHash]) -> (&[NodeHash], &[NodeHash]) {
    leaves.split_at(leaves.len().next_power_of_two() / 2)
}

/// PATH of RFC 6962, as written there.
fn naive_path(index: usize, leaves: &[NodeHash]) -> Vec<NodeHash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = split(leaves);
    let (mut path, sibling) = if index < left.len() {
        (naive_path(index, left), right)
    } else {
        (naive_path(index - left.len(), right), left)
    };
    path.push(naive_root(sibling));
    path
}

/// SUBPROOF of RFC 6962, as written there.
fn naive_subproof(old: usize, leaves: &[NodeHash], known: bool) -> Vec<NodeHash> {
    if old == leaves.len() {
        return if known { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let (left, right) = split(leaves);
    let (mut proof, sibling) = if old <= left.len() {
        (naive_subproof(old, left, known), right)
    } else {
        (naive_subproof(old - left.len(), right, false), left)
    };
    proof.push(naive_root(sibling));
    proof
}

fn reader(leaves: &[NodeHash]) -> impl Fn(u8, u64) -> Option<NodeHash> {
    let (_, nodes) = grow(leaves);
    move |level, index| nodes.get(&(level, index)).copied()
}

fn flip(hash: &NodeHash) -> NodeHash {
    let mut bytes = hash.to_bytes();
    bytes[7] ^= 0x10;
    NodeHash::new(bytes)
}

/// Every proof that differs from a good one in one place.
fn altered(proof: &[NodeHash]) -> Vec<Vec<NodeHash>> {
    let mut all = vec![[proof, &[empty_root()]].concat()];
    for position in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[position] = flip(&proof[position]);
        let mut dropped = proof.to_vec();
        dropped.remove(position);
        all.extend([flipped, dropped]);
        if position > 0 {
            let mut swapped = proof.to_vec();
            swapped.swap(position - 1, position);
            all.push(swapped);
        }
    }
    all
}

#[test]
fn inclusion_agrees_with_the_recursive_definition_and_nothing_else_verifies() {
    for size in 1..=70 {
        let leaves = leaves(size);
        let read = reader(&leaves);
        let root = naive_root(&leaves);
        for index in 0..size {
            let leaf = leaves[small(index)];
            let proof = inclusion_proof(&read, index, size).expect("made");
            assert_eq!(proof, naive_path(small(index), &leaves), "leaf {index} of {size}");
            assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Ok(()));
            for bad in altered(&proof) {
                assert!(verify_inclusion(&leaf, index, size, &bad, &root).is_err());
            }
            for other in (0..size + 2).filter(|other| *other != index) {
                assert!(verify_inclusion(&leaf, other, size, &proof, &root).is_err(), "{other} for {index}");
            }
            let wrong_leaf = verify_inclusion(&flip(&leaf), index, size, &proof, &root);
            assert_eq!(wrong_leaf, Err(ProofError::RootMismatch));
            let wrong_root = verify_inclusion(&leaf, index, size, &proof, &flip(&root));
            assert_eq!(wrong_root, Err(ProofError::RootMismatch));
        }
    }
}

#[test]
fn consistency_agrees_with_the_recursive_definition_and_nothing_else_verifies() {
    for new in 1..=70 {
        let leaves = leaves(new);
        let read = reader(&leaves);
        let new_root = naive_root(&leaves);
        for old in 1..=new {
            let old_root = naive_root(&leaves[..small(old)]);
            let proof = consistency_proof(&read, old, new).expect("made");
            assert_eq!(proof, naive_subproof(small(old), &leaves, true), "{old} of {new}");
            assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()));
            for bad in altered(&proof) {
                assert!(verify_consistency(old, &old_root, new, &new_root, &bad).is_err());
            }
            assert!(verify_consistency(old, &flip(&old_root), new, &new_root, &proof).is_err());
            assert!(verify_consistency(old, &old_root, new, &flip(&new_root), &proof).is_err());
        }
    }
}

#[test]
fn the_nodes_named_beforehand_are_the_nodes_read() {
    for size in 1..=40 {
        let leaves = leaves(size);
        let all = reader(&leaves);
        let only = |wanted: Vec<crate::tree::NodeId>| {
            let all = &all;
            move |level: u8, index: u64| {
                assert!(wanted.iter().any(|id| (id.level, id.index) == (level, index)));
                all(level, index)
            }
        };
        for index in 0..size {
            inclusion_proof(&only(inclusion_nodes(index, size).expect("named")), index, size).expect("made");
            consistency_proof(&only(consistency_nodes(index, size).expect("named")), index, size)
                .expect("made");
        }
    }
}

#[test]
fn reference_tree_has_the_known_paths() {
    let leaves: Vec<_> = reference_entries().iter().map(|entry| leaf_hash(entry)).collect();
    let read = reader(&leaves);
    let shown = |proof: Vec<NodeHash>| proof.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        shown(inclusion_proof(&read, 0, 8).expect("made")),
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ]
    );
    assert_eq!(
        shown(inclusion_proof(&read, 5, 8).expect("made")),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        shown(inclusion_proof(&read, 2, 3).expect("made")),
        ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]
    );
    assert_eq!(
        shown(consistency_proof(&read, 6, 8).expect("made")),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        shown(consistency_proof(&read, 2, 5).expect("made")),
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ]
    );
}

#[test]
fn errors_name_what_is_wrong() {
    let leaves = leaves(7);
    let read = reader(&leaves);
    let root = naive_root(&leaves);
    let proof = inclusion_proof(&read, 3, 7).expect("made");
    let short = &proof[..proof.len() - 1];
    let long = [proof.as_slice(), &proof].concat();
    assert_eq!(verify_inclusion(&leaves[3], 3, 7, short, &root), Err(ProofError::TooFewHashes(2)));
    assert_eq!(verify_inclusion(&leaves[3], 3, 7, &long, &root), Err(ProofError::TooManyHashes(6)));
    let outside = ProofError::IndexOutsideTree { leaf_index: 7, tree_size: 7 };
    assert_eq!(verify_inclusion(&leaves[3], 7, 7, &proof, &root), Err(outside));
    let in_nothing = ProofError::IndexOutsideTree { leaf_index: 0, tree_size: 0 };
    assert_eq!(verify_inclusion(&leaves[0], 0, 0, &[], &empty_root()), Err(in_nothing));
    let reversed = ProofError::SizesReversed { old_size: 8, new_size: 7 };
    assert_eq!(verify_consistency(8, &root, 7, &root, &[]), Err(reversed));
    assert_eq!(verify_consistency(3, &root, 7, &root, &[]), Err(ProofError::TooFewHashes(0)));
    assert_eq!(verify_consistency(0, &root, 7, &root, &[]), Err(ProofError::OldRootMismatch));
    assert_eq!(verify_consistency(0, &empty_root(), 7, &root, &[]), Ok(()));
    assert_eq!(verify_consistency(7, &root, 7, &root, &[root]), Err(ProofError::TooManyHashes(1)));
    assert_eq!(verify_consistency(7, &root, 7, &flip(&root), &[]), Err(ProofError::NewRootMismatch));
}

#[test]
fn what_cannot_be_made_is_refused() {
    let nothing = |_: u8, _: u64| None;
    let missing = |level, index| MakeProofError::MissingNode(crate::tree::NodeId { level, index });
    assert_eq!(inclusion_proof(&nothing, 0, 2), Err(missing(0, 1)));
    assert_eq!(root_at(&nothing, 5), Err(missing(2, 0)));
    assert_eq!(root_at(&nothing, 0), Ok(empty_root()));
    let no_leaf = MakeProofError::NoSuchLeaf { leaf_index: 2, tree_size: 2 };
    assert_eq!(inclusion_proof(&nothing, 2, 2), Err(no_leaf));
    let reversed = MakeProofError::NotAPrefix { old_size: 2, new_size: 1 };
    assert_eq!(consistency_proof(&nothing, 2, 1), Err(reversed));
    assert_eq!(root_at(&nothing, u64::MAX), Err(MakeProofError::TooLarge(u64::MAX)));
    let largest = inclusion_nodes(MAX_TREE_SIZE - 1, MAX_TREE_SIZE).expect("named");
    assert_eq!(largest.len(), 62);
}

#[test]
fn a_swapped_pair_is_another_tree() {
    let leaves = leaves(2);
    assert_ne!(node_hash(&leaves[0], &leaves[1]), node_hash(&leaves[1], &leaves[0]));
}

proptest! {
    #[test]
    fn random_trees_prove_and_verify(size in 1_u64..700, index in any::<u64>(), old in any::<u64>()) {
        let leaves = leaves(size);
        let read = reader(&leaves);
        let root = naive_root(&leaves);
        let (index, old) = (index % size, old % (size + 1));
        let proof = inclusion_proof(&read, index, size).expect("made");
        prop_assert_eq!(verify_inclusion(&leaves[small(index)], index, size, &proof, &root), Ok(()));
        let old_root = naive_root(&leaves[..small(old)]);
        let proof = consistency_proof(&read, old, size).expect("made");
        prop_assert_eq!(verify_consistency(old, &old_root, size, &root, &proof), Ok(()));
    }

    #[test]
    fn verifying_anything_never_panics(
        index in any::<u64>(), size in any::<u64>(), old in any::<u64>(),
        proof in prop::collection::vec(any::<[u8; 32]>().prop_map(NodeHash::new), 0..70),
    ) {
        let root = empty_root();
        let _ = verify_inclusion(&root, index, size, &proof, &root);
        let _ = verify_consistency(old, &root, size, &root, &proof);
    }
}
