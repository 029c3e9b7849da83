use super::*;
use crate::domain::block::BlockRef;
use crate::domain::merkle::MerkleBranch;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Transaction, absolute, transaction};

fn fetched(number: u8, bytes: usize) -> Arc<FetchedTransaction> {
    let transaction = Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![],
        output: vec![],
    };
    Arc::new(FetchedTransaction {
        txid: Txid::from_byte_array([number; 32]),
        transaction,
        raw: vec![0; bytes],
    })
}

fn proof(height: u32) -> Proof {
    Proof {
        block: BlockRef { block_hash: BlockHash::all_zeros(), height },
        branch: MerkleBranch { position: 0, siblings: vec![] },
    }
}

/// Entries, places in the order of use, bytes.
fn sizes(cache: &ProofCache) -> (usize, usize, usize) {
    let inner = cache.lock();
    (inner.entries.len(), inner.by_use.len(), inner.bytes)
}

#[test]
fn the_least_recently_used_leave_first_and_bytes_are_accounted() {
    let cache = ProofCache::with_capacity(3 * (ENTRY_OVERHEAD_BYTES + 200));
    let entries: Vec<_> = (0..4).map(|number| fetched(number, 100)).collect();
    for entry in &entries[..3] {
        cache.put(entry, &proof(1));
    }
    assert!(cache.get(entries[0].txid).is_some(), "used, so the next oldest leaves");
    cache.put(&entries[3], &proof(1));
    assert!(cache.get(entries[1].txid).is_none());
    assert!(cache.get(entries[0].txid).is_some());
    assert_eq!(cache.lock().bytes, 3 * (ENTRY_OVERHEAD_BYTES + 200));

    cache.put(&fetched(9, 1 << 20), &proof(1));
    assert_eq!(sizes(&cache), (0, 0, 0), "an entry larger than the cache is not kept");
}

#[test]
fn a_newer_proof_replaces_and_forgetting_forgets() {
    let cache = ProofCache::with_capacity(1 << 20);
    let entry = fetched(1, 10);
    cache.put(&entry, &proof(1));
    cache.put(&entry, &proof(2));
    assert_eq!(cache.get(entry.txid).unwrap().proof.block.height, 2);
    assert_eq!(cache.lock().entries.len(), 1);
    cache.forget(entry.txid);
    assert!(cache.get(entry.txid).is_none());
    assert_eq!(sizes(&cache), (0, 0, 0));
}
