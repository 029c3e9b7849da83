use ailayer_tlog::leaf_hash;
use proptest::prelude::*;

use super::*;

fn hashes(names: &[u8]) -> Vec<NodeHash> {
    names.iter().map(|name| leaf_hash(&[*name])).collect()
}

#[test]
fn repeats_in_a_batch_and_across_batches_get_the_first_index() {
    let first = plan(&Frontier::new(), &hashes(b"aba"), &HashMap::new(), UnixMs(1)).unwrap();
    let indices: Vec<_> = first.placements.iter().map(|place| (place.leaf_index, place.duplicate)).collect();
    assert_eq!(indices, [(0, false), (1, false), (0, true)]);
    assert_eq!(first.leaves.iter().map(|leaf| leaf.position).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(first.nodes.len(), 1, "two leaves complete one inner node");

    let known = HashMap::from([(leaf_hash(b"a"), Sequenced { leaf_index: 0, at: UnixMs(1) })]);
    let second = plan(&first.frontier, &hashes(b"ca"), &known, UnixMs(2)).unwrap();
    assert_eq!(second.placements[0], Placement { leaf_index: 2, sequenced: UnixMs(2), duplicate: false });
    assert_eq!(second.placements[1], Placement { leaf_index: 0, sequenced: UnixMs(1), duplicate: true });
}

proptest! {
    /// However the entries are cut into batches, indices are dense and the root is that of one after the other.
    #[test]
    fn batching_does_not_change_the_log(names in prop::collection::vec(0u8..40, 0..60), cut in 1usize..9) {
        let mut naive = Frontier::new();
        let mut order = Vec::new();
        for name in &names {
            if !order.contains(name) {
                order.push(*name);
                naive.append(leaf_hash(&[*name])).unwrap();
            }
        }

        let (mut frontier, mut known) = (Frontier::new(), HashMap::new());
        for (batch, names) in names.chunks(cut).enumerate() {
            let now = UnixMs(u64::try_from(batch).unwrap());
            let plan = plan(&frontier, &hashes(names), &known, now).unwrap();
            for (name, place) in names.iter().zip(&plan.placements) {
                let index = usize::try_from(place.leaf_index).unwrap();
                prop_assert_eq!(order[index], *name);
            }
            known.extend(plan.leaves.iter().map(|leaf| {
                (leaf.leaf_hash, Sequenced { leaf_index: leaf.leaf_index, at: now })
            }));
            frontier = plan.frontier;
        }
        prop_assert_eq!(frontier, naive);
    }
}
