//! The entries of one priority level, in fair order.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, EntryId, Slot};

/// After so many batches without the oldest entry, it is the oldest's turn whatever the fair order says: a stream of
/// new accounts, each of which is due at once, must not hold it back for ever.
const MAX_BYPASSES: u32 = 8;

/// Start-time fair queueing: an entry starts where its account's last one ended or where service is now, whichever is
/// later, and entries run in the order of their starts.
#[derive(Debug)]
pub(super) struct Level<K> {
    turns: BTreeSet<(u64, EntryId)>,
    arrivals: BTreeSet<EntryId>,
    groups: HashMap<K, Group>,
    accounts: HashMap<Arc<str>, Account>,
    /// The start of the last head that was served.
    now: u64,
    bypasses: u32,
    /// The time all entries should take one instance.
    pub(super) cost: Duration,
}

/// The entries that may share a run, by width.
#[derive(Debug, Default)]
struct Group {
    rows: usize,
    widths: BTreeMap<usize, BTreeSet<(u64, EntryId)>>,
}

/// What one account has here.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Where its last entry ends.
    end: u64,
    pub(super) waiting: BTreeSet<EntryId>,
    pub(super) cost: Duration,
}

impl<K> Default for Level<K> {
    fn default() -> Self {
        Self {
            turns: BTreeSet::new(),
            arrivals: BTreeSet::new(),
            groups: HashMap::new(),
            accounts: HashMap::new(),
            now: 0,
            bypasses: 0,
            cost: Duration::ZERO,
        }
    }
}

impl<K: Clone + Eq + Hash> Level<K> {
    /// Files an entry; answers its place in the fair order.
    pub(super) fn insert<T>(&mut self, id: EntryId, entry: &Entry<K, T>, cost: Duration) -> u64 {
        let account = self.accounts.entry(Arc::clone(&entry.account)).or_default();
        let tag = account.end.max(self.now);
        account.end = tag.saturating_add(entry.units());
        account.waiting.insert(id);
        account.cost = account.cost.saturating_add(cost);
        self.cost = self.cost.saturating_add(cost);
        self.turns.insert((tag, id));
        self.arrivals.insert(id);
        if let Some(key) = &entry.key {
            let group = match self.groups.get_mut(key) {
                Some(group) => group,
                None => self.groups.entry(key.clone()).or_default(),
            };
            group.rows = group.rows.saturating_add(entry.rows);
            group.widths.entry(entry.width).or_default().insert((tag, id));
        }
        tag
    }

    /// Takes an entry out.
    pub(super) fn remove<T>(&mut self, id: EntryId, slot: &Slot<K, T>) {
        let Slot { entry, tag, cost, .. } = slot;
        self.turns.remove(&(*tag, id));
        self.arrivals.remove(&id);
        self.cost = self.cost.saturating_sub(*cost);
        if let Some(account) = self.accounts.get_mut(&entry.account) {
            account.waiting.remove(&id);
            account.cost = account.cost.saturating_sub(*cost);
        }
        let Some(key) = &entry.key else { return };
        let Some(group) = self.groups.get_mut(key) else { return };
        group.rows = group.rows.saturating_sub(entry.rows);
        if let Some(same) = group.widths.get_mut(&entry.width) {
            same.remove(&(*tag, id));
            if same.is_empty() {
                group.widths.remove(&entry.width);
            }
        }
        if group.widths.is_empty() {
            self.groups.remove(key);
        }
    }

    /// Whose turn it is.
    pub(super) fn head(&self) -> Option<EntryId> {
        if self.bypasses >= MAX_BYPASSES {
            return self.oldest();
        }
        self.turns.first().map(|(_, id)| *id)
    }

    /// The entry that waits longest.
    pub(super) fn oldest(&self) -> Option<EntryId> {
        self.arrivals.first().copied()
    }

    /// A batch was cut whose head started at `tag`.
    pub(super) fn served(&mut self, tag: u64, took_oldest: bool) {
        self.now = self.now.max(tag);
        self.bypasses = if took_oldest { 0 } else { self.bypasses.saturating_add(1) };
        // Accounts that have nothing here and are not ahead need no memory.
        if self.accounts.len() > self.arrivals.len().saturating_mul(2).saturating_add(64) {
            let now = self.now;
            self.accounts.retain(|_, account| !account.waiting.is_empty() || account.end > now);
        }
    }

    /// The rows that may share a run.
    pub(super) fn rows_of(&self, key: &K) -> usize {
        self.groups.get(key).map_or(0, |group| group.rows)
    }

    /// The first in turn of the nearest width up to `width`, and of the nearest above it.
    pub(super) fn neighbours(&self, key: &K, width: usize) -> [Option<(usize, EntryId)>; 2] {
        let Some(group) = self.groups.get(key) else { return [None, None] };
        let first =
            |(width, same): (&usize, &BTreeSet<(u64, EntryId)>)| same.first().map(|(_, id)| (*width, *id));
        let below = group.widths.range(..=width).next_back().and_then(first);
        let above = group.widths.range(width.saturating_add(1)..).next().and_then(first);
        [below, above]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.arrivals.is_empty()
    }

    pub(super) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(name)
    }

    /// The number of accounts that have entries here.
    pub(super) fn active_accounts(&self) -> usize {
        self.accounts.values().filter(|account| !account.waiting.is_empty()).count()
    }

    /// The account that has the most entries besides its newest `gone`, the newest of these, and how many there are.
    pub(super) fn newest_of_largest(
        &self,
        gone: impl Fn(&Arc<str>) -> usize,
    ) -> Option<(Arc<str>, EntryId, usize)> {
        let (name, gone, left) = self
            .accounts
            .iter()
            .map(|(name, account)| {
                let gone = gone(name);
                (name, gone, account.waiting.len().saturating_sub(gone))
            })
            .max_by_key(|(_, _, left)| *left)?;
        let newest = self.accounts.get(name)?.waiting.iter().rev().nth(gone)?;
        Some((Arc::clone(name), *newest, left))
    }
}
