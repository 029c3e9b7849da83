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
mod trust;
mod window;

pub use entry::{Batch, DropReason, Dropped, Entry, EntryId, Limits, Next, Ready, Refusal};
pub use service_times::ServiceTimes;

use entry::Slot;
use level::Level;
use trust::Trust;
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
    /// How far foretold times can be trusted, by level; they are few and stay.
    trusts: BTreeMap<u32, Trust>,
    /// What each instance runs.
    runs: Vec<Option<Run>>,
}

/// What an instance runs.
#[derive(Debug)]
struct Run {
    /// When it should be done.
    until: Instant,
    /// The level of each entry, when it was queued, and how long it should take.
    foretold: Vec<(u32, Instant, Duration)>,
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
            trusts: BTreeMap::new(),
            runs: std::iter::repeat_with(|| None).take(instances.max(1)).collect(),
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

    /// Takes the entries of one call in, all or none, in order, or says why not. They are of one account and level
    /// and have one deadline. Entries they pushed out of a full queue, and those found too late meanwhile, are in
    /// `dropped`; their callers must be told.
    pub fn push(
        &mut self,
        call: Vec<Entry<K, T>>,
        now: Instant,
        dropped: &mut Vec<Dropped<T>>,
    ) -> Result<Vec<EntryId>, Refusal> {
        self.expire(now, dropped);
        let foretold = self.admit(&call, now, dropped)?;
        let entries = call.into_iter().zip(foretold);
        Ok(entries.map(|(entry, foretold)| self.insert(entry, foretold, now)).collect())
    }

    fn insert(&mut self, entry: Entry<K, T>, foretold: Duration, now: Instant) -> EntryId {
        let cost = self.cost(&entry);
        self.last_id = self.last_id.wrapping_add(1);
        let id = EntryId(self.last_id);
        let expiry = self.expiry(&entry, now);
        if let Some((at, _)) = expiry {
            self.expiries.insert((at, id));
        }
        self.bytes = self.bytes.saturating_add(entry.bytes);
        let level = self.levels.entry(entry.priority).or_default();
        let tag = level.insert(id, &entry, cost);
        self.slots.insert(id, Slot { entry, tag, cost, foretold, expiry });
        id
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
        let (batch, foretold) = self.cut(priority, head, now);
        let estimate = self.times.estimate(batch.rows, batch.width).unwrap_or_default();
        if let (Some(run), Some(until)) = (self.runs.get_mut(instance), now.checked_add(estimate)) {
            *run = Some(Run { until, foretold });
        }
        Next { batch: Some(batch), dropped, wake_at: None }
    }

    /// A batch ended; `measured` is its time in the engine, if it ran to its end.
    pub fn finished(
        &mut self,
        instance: usize,
        rows: usize,
        width: usize,
        measured: Option<Duration>,
        now: Instant,
    ) {
        let run = self.runs.get_mut(instance).and_then(Option::take);
        let Some(time) = measured else { return };
        self.times.record(rows, width, time);
        for (priority, queued_at, foretold) in run.map(|run| run.foretold).unwrap_or_default() {
            self.learn(priority, foretold, now.saturating_duration_since(queued_at));
        }
    }

    fn trust(&self, priority: u32) -> Trust {
        self.trusts.get(&priority).copied().unwrap_or_default()
    }

    fn learn(&mut self, priority: u32, foretold: Duration, real: Duration) {
        self.trusts.entry(priority).or_default().learn(foretold, real);
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

    /// Takes a batch out; answers with it what was foretold of its entries.
    fn cut(
        &mut self,
        priority: u32,
        head: EntryId,
        now: Instant,
    ) -> (Batch<T>, Vec<(u32, Instant, Duration)>) {
        self.cuts = self.cuts.wrapping_add(1);
        let (mut batch, mut foretold) = (Batch::default(), Vec::new());
        let oldest = self.levels.get(&priority).and_then(Level::oldest);
        let Some(slot) = self.remove(head) else { return (batch, foretold) };
        let key = slot.entry.key.clone();
        let max_rows = match self.cuts.is_multiple_of(EXPLORE_EVERY) {
            true => self.limits.max_rows,
            false => self.times.best_rows(slot.entry.width, self.limits.max_rows),
        };
        let mut window = Window::new(max_rows, self.limits.max_tokens, slot.entry.rows, slot.entry.width);
        let head_tag = slot.tag;
        let mut time = self.time_left(&slot, now);
        let mut take = |id: EntryId, slot: Slot<K, T>| {
            foretold.push((slot.entry.priority, slot.entry.queued_at, slot.foretold));
            batch.entries.push(slot.into_ready(id));
        };
        take(head, slot);
        if let Some(key) = &key {
            while let Some((id, left)) = self.companion(key, &mut window, time, now) {
                if let Some(slot) = self.remove(id) {
                    time = time.into_iter().chain(left).min();
                    take(id, slot);
                }
            }
        }
        let took_oldest = batch.entries.iter().any(|ready| Some(ready.id) == oldest);
        if let Some(level) = self.levels.get_mut(&priority) {
            level.served(head_tag, took_oldest);
        }
        self.credit.settle(&window);
        (batch.rows, batch.width, batch.tokens) = (window.rows(), window.width(), window.tokens());
        (batch, foretold)
    }

    /// The next entry to join the batch, already accounted for in the window, and the time it has left. A batch that
    /// grows takes longer: nobody joins who would then be late, or make the batch last longer than `time`.
    fn companion(
        &self,
        key: &K,
        window: &mut Window,
        time: Option<Duration>,
        now: Instant,
    ) -> Option<(EntryId, Option<Duration>)> {
        self.levels.iter().find_map(|(priority, level)| {
            let trust = self.trust(*priority);
            let rows = |id: EntryId| self.slots.get(&id).map_or(0, |slot| slot.entry.rows);
            let left = |id: EntryId| {
                let deadline = self.slots.get(&id).and_then(|slot| slot.entry.deadline);
                deadline.map(|deadline| deadline.saturating_duration_since(now))
            };
            let candidates = level.neighbours(key, window.width()).map(|candidate| {
                candidate.filter(|(width, id)| {
                    let joined = window.rows().saturating_add(rows(*id));
                    let limit = time.into_iter().chain(left(*id)).min();
                    limit.is_none_or(|limit| {
                        let run = self.times.estimate(joined, window.width().max(*width));
                        trust.at_worst(run.unwrap_or_default()) <= limit
                    })
                })
            });
            let id = window.take_cheapest(candidates, rows, &self.credit)?;
            Some((id, left(id)))
        })
    }

    /// The time a batch with this entry may last; none if any, also where the entry is late whatever is done.
    fn time_left(&self, slot: &Slot<K, T>, now: Instant) -> Option<Duration> {
        let left = slot.entry.deadline?.saturating_duration_since(now);
        let alone = self.times.estimate(slot.entry.rows, slot.entry.width).unwrap_or_default();
        (alone <= left).then_some(left)
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
