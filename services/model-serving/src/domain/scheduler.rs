//! What runs next: pure, told the time, without a model, a thread or a clock.
//!
//! Whoever is idle asks for a batch. Its first entry is the one whose turn it is: of the highest level that waits, by
//! start-time fair queueing across accounts, and first in, first out within one. Entries that may share its run and
//! are about as long fill the batch, those of its own level first. So nothing waits for company and nothing is passed over for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::time::{Duration, Instant};

mod admission;
mod entry;
mod level;
mod service_times;
mod window;

pub use entry::{Batch, DropReason, Dropped, Entry, EntryId, Limits, Next, Ready, Refusal};
pub use service_times::ServiceTimes;

use entry::Slot;
use level::Level;
use window::{PaddingCredit, Window};

/// Every so many batches the table of service times does not cap the rows: a size that once was slow is tried again.
const EXPLORE_EVERY: u64 = 256;

/// The entries that wait for a model. `K` says which may share a run.
#[derive(Debug)]
pub struct Scheduler<K, T> {
    limits: Limits,
    slots: BTreeMap<EntryId, Slot<K, T>>,
    levels: BTreeMap<u32, Level<K>>,
    expiries: BTreeSet<(Instant, EntryId)>,
    bytes: usize,
    last_id: u64,
    cuts: u64,
    credit: PaddingCredit,
    times: ServiceTimes,
    /// When each instance should be done with what it runs.
    busy_until: Vec<Option<Instant>>,
}

impl<K: Clone + Eq + Hash, T> Scheduler<K, T> {
    /// An empty one for so many instances.
    pub fn new(limits: Limits, instances: usize, times: ServiceTimes) -> Self {
        Self {
            limits,
            slots: BTreeMap::new(),
            levels: BTreeMap::new(),
            expiries: BTreeSet::new(),
            bytes: 0,
            last_id: 0,
            cuts: 0,
            credit: PaddingCredit::default(),
            times,
            busy_until: vec![None; instances.max(1)],
        }
    }

    /// The number of entries that wait.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True if nothing waits.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes an entry in, or says why not. Entries it pushed out of a full queue, and those found
    /// too late meanwhile, are in `dropped`; their callers must be told.
    pub fn push(
        &mut self,
        entry: Entry<K, T>,
        now: Instant,
        dropped: &mut Vec<Dropped<T>>,
    ) -> Result<EntryId, Refusal> {
        self.expire(now, dropped);
        let cost = self.cost(&entry);
        self.admit(&entry, cost, now, dropped)?;
        self.last_id = self.last_id.wrapping_add(1);
        let id = EntryId(self.last_id);
        let expiry = self.expiry(&entry, cost, now);
        if let Some((at, _)) = expiry {
            self.expiries.insert((at, id));
        }
        self.bytes = self.bytes.saturating_add(entry.bytes);
        let level = self.levels.entry(entry.priority).or_default();
        let tag = level.insert(id, &entry, cost);
        self.slots.insert(id, Slot { entry, tag, cost, expiry });
        Ok(id)
    }

    /// Takes an entry out whose caller is gone; none if it does not wait any more.
    pub fn cancel(&mut self, id: EntryId) -> Option<T> {
        self.remove(id).map(|slot| slot.entry.work)
    }

    /// Takes everything out.
    pub fn clear(&mut self) -> Vec<T> {
        self.levels.clear();
        self.expiries.clear();
        self.bytes = 0;
        std::mem::take(&mut self.slots).into_values().map(|slot| slot.entry.work).collect()
    }

    /// Cuts the batch that an idle instance should run now. Entries that are too late are dropped first.
    pub fn next(&mut self, instance: usize, now: Instant) -> Next<T> {
        let mut dropped = Vec::new();
        self.expire(now, &mut dropped);
        let Some((priority, head)) = self.head() else { return Next { batch: None, dropped, wake_at: None } };
        if let Some(wake_at) = self.company_until(priority, head, now) {
            return Next { batch: None, dropped, wake_at: Some(wake_at) };
        }
        let batch = self.cut(priority, head);
        let estimate = self.times.estimate(batch.rows, batch.width).unwrap_or_default();
        self.set_busy(instance, now.checked_add(estimate));
        Next { batch: Some(batch), dropped, wake_at: None }
    }

    /// A batch ended; `measured` is its time in the engine, if it ran to its end.
    pub fn finished(&mut self, instance: usize, rows: usize, width: usize, measured: Option<Duration>) {
        self.set_busy(instance, None);
        if let Some(time) = measured {
            self.times.record(rows, width, time);
        }
    }

    fn set_busy(&mut self, instance: usize, until: Option<Instant>) {
        if let Some(busy) = self.busy_until.get_mut(instance) {
            *busy = until;
        }
    }

    /// Whose turn it is.
    fn head(&mut self) -> Option<(u32, EntryId)> {
        let (priority, level) = self.levels.iter_mut().next()?;
        Some((*priority, level.head()?))
    }

    /// Until when the head may wait for a fuller batch; none if it should run.
    fn company_until(&self, priority: u32, head: EntryId, now: Instant) -> Option<Instant> {
        if self.limits.max_delay.is_zero() {
            return None;
        }
        let entry = &self.slots.get(&head)?.entry;
        let key = entry.key.as_ref()?;
        let waiting = self.levels.get(&priority)?.rows_of(key);
        let until = entry.queued_at.checked_add(self.limits.max_delay)?;
        (waiting < self.limits.max_rows && now < until).then_some(until)
    }

    fn cut(&mut self, priority: u32, head: EntryId) -> Batch<T> {
        self.cuts = self.cuts.wrapping_add(1);
        let mut batch = Batch::default();
        let oldest = self.levels.get(&priority).and_then(Level::oldest);
        let Some(slot) = self.remove(head) else { return batch };
        let key = slot.entry.key.clone();
        let max_rows = match self.cuts.is_multiple_of(EXPLORE_EVERY) {
            true => self.limits.max_rows,
            false => self.times.best_rows(slot.entry.width, self.limits.max_rows),
        };
        let mut window = Window::new(max_rows, self.limits.max_tokens, slot.entry.rows, slot.entry.width);
        let head_tag = slot.tag;
        batch.entries.push(slot.into_ready(head));
        if let Some(key) = &key {
            while let Some(id) = self.companion(key, &mut window) {
                if let Some(slot) = self.remove(id) {
                    batch.entries.push(slot.into_ready(id));
                }
            }
        }
        let took_oldest = batch.entries.iter().any(|ready| Some(ready.id) == oldest);
        if let Some(level) = self.levels.get_mut(&priority) {
            level.served(head_tag, took_oldest);
        }
        self.credit.settle(&window);
        (batch.rows, batch.width, batch.tokens) = (window.rows(), window.width(), window.tokens());
        batch
    }

    /// The next entry to join the batch, already accounted for in the window.
    fn companion(&self, key: &K, window: &mut Window) -> Option<EntryId> {
        self.levels.values().find_map(|level| {
            let candidates = level.neighbours(key, window.width());
            let rows = |id: EntryId| self.slots.get(&id).map_or(0, |slot| slot.entry.rows);
            window.take_cheapest(candidates, rows, &self.credit)
        })
    }

    fn remove(&mut self, id: EntryId) -> Option<Slot<K, T>> {
        let slot = self.slots.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(slot.entry.bytes);
        if let Some((at, _)) = slot.expiry {
            self.expiries.remove(&(at, id));
        }
        if let Some(level) = self.levels.get_mut(&slot.entry.priority) {
            level.remove(id, &slot);
            // A level that ran empty starts anew: nobody is behind or ahead.
            if level.is_empty() {
                self.levels.remove(&slot.entry.priority);
            }
        }
        Some(slot)
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
