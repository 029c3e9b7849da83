//! Proofs that were verified, so that asking again costs the server nothing.
//!
//! A proof stays true for its block for ever; whether the block is still on the best chain is asked each
//! time. Unconfirmed transactions are never kept: they may vanish.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::Txid;

use super::{FetchedTransaction, Proof};

/// Bytes of transactions and branches kept.
const CAPACITY_BYTES: usize = 64 * 1024 * 1024;
/// What an entry costs besides its transaction, roughly: branch, keys and bookkeeping.
const ENTRY_OVERHEAD_BYTES: usize = 1_024;

/// A transaction with its proof.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) fetched: Arc<FetchedTransaction>,
    pub(super) proof: Proof,
}

/// The least recently used entries leave first.
#[derive(Debug)]
pub(super) struct ProofCache {
    inner: Mutex<Inner>,
    capacity_bytes: usize,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Txid, (u64, Known)>,
    /// Entries by last use. The clock ticks at every use, so that keys are unique.
    by_use: BTreeMap<u64, Txid>,
    clock: u64,
    bytes: usize,
}

impl ProofCache {
    pub(super) fn new() -> Self {
        Self::with_capacity(CAPACITY_BYTES)
    }

    fn with_capacity(capacity_bytes: usize) -> Self {
        Self { inner: Mutex::default(), capacity_bytes }
    }

    /// What is known about a transaction; counts as a use.
    pub(super) fn get(&self, txid: Txid) -> Option<Known> {
        let mut inner = self.lock();
        let now = inner.tick();
        let (used, known) = inner.entries.get_mut(&txid)?;
        let before = std::mem::replace(used, now);
        let known = known.clone();
        inner.by_use.remove(&before);
        inner.by_use.insert(now, txid);
        Some(known)
    }

    /// Keeps a proof in place of an older one.
    pub(super) fn put(&self, fetched: &Arc<FetchedTransaction>, proof: &Proof) {
        let mut inner = self.lock();
        inner.remove(fetched.txid);
        let now = inner.tick();
        inner.bytes = inner.bytes.saturating_add(cost(fetched));
        inner.by_use.insert(now, fetched.txid);
        let known = Known { fetched: Arc::clone(fetched), proof: proof.clone() };
        inner.entries.insert(fetched.txid, (now, known));
        while inner.bytes > self.capacity_bytes {
            let Some((_, oldest)) = inner.by_use.pop_first() else { break };
            inner.remove(oldest);
        }
    }

    /// Drops what is known about a transaction.
    pub(super) fn forget(&self, txid: Txid) {
        self.lock().remove(txid);
    }

    /// No code here panics while it holds the lock, so a poisoned one holds sound data.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn tick(&mut self) -> u64 {
        self.clock = self.clock.wrapping_add(1);
        self.clock
    }

    fn remove(&mut self, txid: Txid) {
        if let Some((used, known)) = self.entries.remove(&txid) {
            self.by_use.remove(&used);
            self.bytes = self.bytes.saturating_sub(cost(&known.fetched));
        }
    }
}

fn cost(fetched: &FetchedTransaction) -> usize {
    fetched.raw.len().saturating_mul(2).saturating_add(ENTRY_OVERHEAD_BYTES)
}

#[cfg(test)]
mod tests;
