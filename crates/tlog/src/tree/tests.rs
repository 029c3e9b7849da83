use proptest::prelude::*;

use super::*;
use crate::hash::leaf_hash;
use crate::proof::root_at;

/// MTH of RFC 6962, as written there.
pub(crate) fn naive_root(leaves: &[NodeHash]) -> NodeHash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

pub(crate) fn leaves(count: u64) -> Vec<NodeHash> {
    (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

/// A frontier of all leaves and a map of all complete nodes, made by appending.
pub(crate) fn grow(leaves: &[NodeHash]) -> (Frontier, std::collections::HashMap<(u8, u64), NodeHash>) {
    let mut frontier = Frontier::new();
    let mut nodes = std::collections::HashMap::new();
    for leaf in leaves {
        for node in frontier.append(*leaf).expect("not full") {
            let before = nodes.insert((node.id.level, node.id.index), node.hash);
            assert_eq!(before, None, "a complete node was reported twice");
        }
    }
    (frontier, nodes)
}

/// The eight entries of the reference tree that Certificate Transparency implementations test with.
pub(crate) fn reference_entries() -> Vec<Vec<u8>> {
    let entries =
        ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    entries.iter().map(|entry| hex::decode(entry).expect("hex")).collect()
}

#[test]
fn reference_tree_has_the_known_roots() {
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root(), empty_root());
    for (entry, root) in reference_entries().iter().zip(roots) {
        frontier.append(leaf_hash(entry)).expect("not full");
        assert_eq!(frontier.root().to_string(), root);
    }
}

#[test]
fn appending_agrees_with_the_recursive_definition() {
    for size in 0..=70 {
        let leaves = leaves(size);
        let (frontier, nodes) = grow(&leaves);
        assert_eq!(frontier.tree_size(), size);
        assert_eq!(frontier.root(), naive_root(&leaves), "size {size}");
        for ((level, index), hash) in &nodes {
            let width = 1_usize << level;
            let start = usize::try_from(*index).expect("small") * width;
            assert_eq!(*hash, naive_root(&leaves[start..start + width]));
        }
        let expected: u64 = (0..7).map(|level| size >> level).sum();
        assert_eq!(nodes.len() as u64, expected, "every complete node is reported once");
    }
}

#[test]
fn a_frontier_is_taken_up_from_stored_nodes() {
    for size in 0..=70 {
        let leaves = leaves(size + 1);
        let (last, before) = leaves.split_last().expect("one more");
        let (mut grown, nodes) = grow(before);
        let read =
            frontier_nodes(size).expect("size").iter().map(|id| nodes[&(id.level, id.index)]).collect();
        let mut resumed = Frontier::try_new(size, read).expect("fits");
        assert_eq!(resumed, grown);
        assert_eq!(resumed.append(*last), grown.append(*last));
        assert_eq!(resumed.root(), naive_root(&leaves));
    }
}

#[test]
fn bounds_are_refused() {
    assert_eq!(Frontier::try_new(MAX_TREE_SIZE + 1, Vec::new()), Err(TreeError::TooLarge));
    assert_eq!(
        Frontier::try_new(3, vec![empty_root()]),
        Err(TreeError::WrongFrontier { tree_size: 3, expected: 2, got: 1 })
    );
    let mut full = Frontier::try_new(MAX_TREE_SIZE, vec![empty_root()]).expect("fits");
    let before = full.clone();
    assert_eq!(full.append(empty_root()), Err(TreeError::TooLarge));
    assert_eq!(full, before);
    let mut almost = Frontier::try_new(MAX_TREE_SIZE - 1, vec![empty_root(); 62]).expect("fits");
    assert_eq!(almost.append(empty_root()).map(|nodes| nodes.len()), Ok(63));
    assert_eq!(frontier_nodes(u64::MAX), Err(TreeError::TooLarge));
}

proptest! {
    #[test]
    fn any_earlier_root_can_be_read_back(size in 0_u64..600, earlier in 0_u64..600) {
        let leaves = leaves(size);
        let (_, nodes) = grow(&leaves);
        let earlier = earlier.min(size);
        let reader = |level: u8, index: u64| nodes.get(&(level, index)).copied();
        let expected = naive_root(&leaves[..usize::try_from(earlier).expect("small")]);
        prop_assert_eq!(root_at(&reader, earlier), Ok(expected));
    }
}
