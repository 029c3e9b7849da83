//! Who may wait, and who must go.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Scheduler;
use super::entry::{DropReason, Dropped, Entry, EntryId, Refusal};

/// The shortest and the longest time after which a caller is told to try again.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// What an answer may need from the engine to its caller.
const REPLY: Duration = Duration::from_millis(5);

/// How many entries of a level's account are to make room.
type Leaving = HashMap<(u32, Arc<str>), usize>;

impl<K: Clone + Eq + Hash, T> Scheduler<K, T> {
    /// When a caller that is refused now should try again: when what waits should have run.
    pub fn retry_after(&self, now: Instant) -> Duration {
        self.wait(u32::MAX, "", now).clamp(RETRY_AFTER.0, RETRY_AFTER.1)
    }

    /// Makes room for the entries of one call, or says why there is none; then nobody was pushed out. Answers when,
    /// from now, each of them should be done.
    pub(super) fn admit(
        &mut self,
        call: &[Entry<K, T>],
        now: Instant,
        dropped: &mut Vec<Dropped<T>>,
    ) -> Result<Vec<Duration>, Refusal> {
        let Some(first) = call.first() else { return Ok(Vec::new()) };
        if first.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Refusal::Late);
        }
        let foretold = self.admit_by_time(first, call, now)?;
        let Some(victims) = self.victims(call) else {
            return Err(Refusal::Overloaded { retry_after: self.retry_after(now) });
        };
        for victim in victims {
            if let Some(slot) = self.remove(victim) {
                dropped.push(Dropped { work: slot.entry.work, reason: DropReason::PushedOut });
            }
        }
        Ok(foretold)
    }

    /// What would be answered too late is refused at once, so that its caller can go elsewhere. Where nothing waits
    /// the call is taken whatever was measured: an estimate that is wrong is put right only by running.
    fn admit_by_time(
        &self,
        first: &Entry<K, T>,
        call: &[Entry<K, T>],
        now: Instant,
    ) -> Result<Vec<Duration>, Refusal> {
        let wait = self.wait(first.priority, &first.account, now);
        let foretold = self.foretell(call, wait);
        if self.is_empty() {
            return Ok(foretold);
        }
        let trust = self.trust(first.priority);
        let last = foretold.iter().max().copied().unwrap_or_default();
        let left = first.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let answered = trust.at_worst(last).saturating_add(REPLY);
        let late = left.map(|left| answered.saturating_sub(left));
        let old = self.limits.max_age.map(|age| trust.at_worst(wait).saturating_sub(age));
        match late.into_iter().chain(old).max() {
            Some(excess) if !excess.is_zero() => {
                Err(Refusal::Overloaded { retry_after: excess.clamp(RETRY_AFTER.0, RETRY_AFTER.1) })
            }
            _ => Ok(foretold),
        }
    }

    /// When each entry of a call that waits so long should be done. Others may share its batch, which ends for all of
    /// them at once.
    fn foretell(&self, call: &[Entry<K, T>], wait: Duration) -> Vec<Duration> {
        let mut run = Duration::ZERO;
        let each = call.iter().map(|entry| {
            run = run.saturating_add(self.cost(entry) / self.instances());
            wait.saturating_add(run.max(self.batch_time(entry)))
        });
        each.collect()
    }

    /// The time a batch with this entry should take.
    fn batch_time(&self, entry: &Entry<K, T>) -> Duration {
        let shared = match entry.key {
            Some(_) => self.times.best_rows(entry.width, self.limits.max_rows),
            None => 1,
        };
        self.times.estimate(shared.max(entry.rows), entry.width).unwrap_or_default()
    }

    fn instances(&self) -> u32 {
        u32::try_from(self.runs.len()).unwrap_or(u32::MAX).max(1)
    }

    /// The time an entry of this level and account should wait: for what runs, for every higher level, and in its
    /// own for a fair share, at most for all of it.
    fn wait(&self, priority: u32, account: &str, now: Instant) -> Duration {
        let running = self
            .runs
            .iter()
            .map(|run| run.as_ref().map_or(Duration::ZERO, |run| run.until.saturating_duration_since(now)));
        let mut ahead = Duration::ZERO;
        for (level_priority, level) in self.levels.range(..=priority) {
            let own = if *level_priority == priority {
                let accounts = u32::try_from(level.active_accounts()).unwrap_or(u32::MAX);
                let mine = level.account(account).map_or(Duration::ZERO, |account| account.cost);
                level.cost.min(mine.saturating_mul(accounts))
            } else {
                level.cost
            };
            ahead = ahead.saturating_add(own);
        }
        running.min().unwrap_or_default().saturating_add(ahead / self.instances())
    }

    /// Whom a call pushes out of a full queue; none if it does not fit even so. One entry is taken by an empty queue
    /// whatever its size.
    fn victims(&self, call: &[Entry<K, T>]) -> Option<Vec<EntryId>> {
        let (mut length, mut bytes) = (self.len(), self.bytes);
        let (mut victims, mut leaving) = (Vec::new(), Leaving::new());
        for (joined, entry) in call.iter().enumerate() {
            let fits = |length: usize, bytes: usize| {
                length == 0
                    || (length < self.limits.max_entries
                        && bytes.saturating_add(entry.bytes) <= self.limits.max_bytes)
            };
            while !fits(length, bytes) {
                let victim = self.victim(entry, joined, &mut leaving)?;
                length = length.saturating_sub(1);
                bytes = bytes.saturating_sub(self.slots.get(&victim)?.entry.bytes);
                victims.push(victim);
            }
            length = length.saturating_add(1);
            bytes = bytes.saturating_add(entry.bytes);
        }
        Some(victims)
    }

    /// Who gives way next: the newest of the lowest level if that is lower, else the newest of an account that has at
    /// least two entries more than the newcomer's, those that joined before counted.
    fn victim(&self, entry: &Entry<K, T>, joined: usize, leaving: &mut Leaving) -> Option<EntryId> {
        let gone = |priority: u32, account: &Arc<str>| {
            leaving.get(&(priority, Arc::clone(account))).copied().unwrap_or(0)
        };
        let (priority, (account, newest, count)) =
            self.levels.range(entry.priority..).rev().find_map(|(priority, level)| {
                let largest = level.newest_of_largest(|account| gone(*priority, account))?;
                Some((*priority, largest))
            })?;
        if priority == entry.priority {
            let own = self.levels.get(&priority)?.account(&entry.account).map_or(0, |own| own.waiting.len());
            if count <= own.saturating_add(joined).saturating_add(1) {
                return None;
            }
        }
        *leaving.entry((priority, account)).or_default() += 1;
        Some(newest)
    }

    /// The time an entry should take an instance; 0 before anything was measured.
    pub(super) fn cost(&self, entry: &Entry<K, T>) -> Duration {
        let most = if entry.key.is_some() { self.limits.max_rows } else { 1 };
        self.times.row_time(entry.rows, entry.width, most).unwrap_or_default()
    }

    /// When an entry is to be dropped: when its deadline is too near for a run of its own, though not before half of its
    /// time is over, lest a wrong estimate refuse everybody; or when it is too old.
    pub(super) fn expiry(&self, entry: &Entry<K, T>, now: Instant) -> Option<(Instant, DropReason)> {
        let alone = self.times.estimate(entry.rows, entry.width).unwrap_or_default();
        let late = entry.deadline.and_then(|deadline| {
            let left = deadline.saturating_duration_since(now);
            deadline.checked_sub(self.trust(entry.priority).at_worst(alone).min(left / 2))
        });
        let old = self.limits.max_age.and_then(|age| entry.queued_at.checked_add(age));
        let late = late.map(|at| (at, DropReason::OutOfTime));
        let old = old.map(|at| (at, DropReason::TooOld));
        late.into_iter().chain(old).min_by_key(|(at, _)| *at)
    }

    /// Drops what is too late. That tells of the waits, too: they were longer than was foretold.
    pub(super) fn expire(&mut self, now: Instant, dropped: &mut Vec<Dropped<T>>) {
        while let Some((_, id)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            let Some(slot) = self.remove(id) else { break };
            let waited = now.saturating_duration_since(slot.entry.queued_at);
            if waited > slot.foretold {
                self.learn(slot.entry.priority, slot.foretold, waited);
            }
            let passed = slot.entry.deadline.is_some_and(|deadline| deadline <= now);
            let reason = match slot.expiry {
                Some((_, DropReason::OutOfTime)) | None if passed => DropReason::Late,
                Some((_, reason)) => reason,
                None => DropReason::OutOfTime,
            };
            dropped.push(Dropped { work: slot.entry.work, reason });
        }
    }
}
