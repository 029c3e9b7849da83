//! Who may wait, and who must go.

use std::hash::Hash;
use std::time::{Duration, Instant};

use super::Scheduler;
use super::entry::{DropReason, Dropped, Entry, EntryId, Refusal};

/// The shortest and the longest time after which a caller is told to try again.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

impl<K: Clone + Eq + Hash, T> Scheduler<K, T> {
    /// When a caller that is refused now should try again: when what waits should have run.
    pub fn retry_after(&self, now: Instant) -> Duration {
        self.wait(u32::MAX, "", now).clamp(RETRY_AFTER.0, RETRY_AFTER.1)
    }

    /// Makes room for an entry, or says why there is none.
    pub(super) fn admit(
        &mut self,
        entry: &Entry<K, T>,
        cost: Duration,
        now: Instant,
        dropped: &mut Vec<Dropped<T>>,
    ) -> Result<(), Refusal> {
        if entry.deadline.is_some_and(|deadline| deadline <= now) {
            return Err(Refusal::Late);
        }
        self.admit_by_time(entry, cost, now)?;
        while !self.has_room(entry.bytes) {
            let Some(victim) = self.victim(entry) else {
                return Err(Refusal::Overloaded { retry_after: self.retry_after(now) });
            };
            let Some(slot) = self.remove(victim) else { break };
            dropped.push(Dropped { work: slot.entry.work, reason: DropReason::PushedOut });
        }
        Ok(())
    }

    /// What would be answered too late is refused at once, so that its caller can go elsewhere. Where nothing waits
    /// the entry is taken whatever was measured: an estimate that is wrong is put right only by running.
    fn admit_by_time(&self, entry: &Entry<K, T>, cost: Duration, now: Instant) -> Result<(), Refusal> {
        let wait = self.wait(entry.priority, &entry.account, now);
        let left =
            entry.deadline.map(|deadline| deadline.saturating_duration_since(now).saturating_sub(cost));
        let patience = left.into_iter().chain(self.limits.max_age).min();
        match patience {
            Some(patience) if !self.is_empty() && wait > patience => {
                let retry_after = wait.saturating_sub(patience).clamp(RETRY_AFTER.0, RETRY_AFTER.1);
                Err(Refusal::Overloaded { retry_after })
            }
            _ => Ok(()),
        }
    }

    /// The time an entry of this level and account should wait: for what runs, for every higher level, and in its
    /// own for a fair share, at most for all of it.
    fn wait(&self, priority: u32, account: &str, now: Instant) -> Duration {
        let running = self
            .busy_until
            .iter()
            .map(|until| until.map_or(Duration::ZERO, |at| at.saturating_duration_since(now)));
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
        let instances = u32::try_from(self.busy_until.len()).unwrap_or(u32::MAX).max(1);
        running.min().unwrap_or_default().saturating_add(ahead / instances)
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.is_empty()
            || (self.len() < self.limits.max_entries
                && self.bytes.saturating_add(bytes) <= self.limits.max_bytes)
    }

    /// Who gives way in a full queue: the newest of the lowest level if that is lower, else the newest of an account
    /// that has at least two entries more than the newcomer's.
    fn victim(&self, entry: &Entry<K, T>) -> Option<EntryId> {
        let (lowest, level) = self.levels.iter().next_back()?;
        let (newest, count) = level.newest_of_largest()?;
        if *lowest > entry.priority {
            return Some(newest);
        }
        let own = level.account(&entry.account).map_or(0, |account| account.waiting.len());
        (*lowest == entry.priority && count > own.saturating_add(1)).then_some(newest)
    }

    /// The time an entry should take an instance; 0 before anything was measured.
    pub(super) fn cost(&self, entry: &Entry<K, T>) -> Duration {
        let most = if entry.key.is_some() { self.limits.max_rows } else { 1 };
        self.times.row_time(entry.rows, entry.width, most).unwrap_or_default()
    }

    /// When an entry is to be dropped: when its deadline is too near for a run, though not before half of its time is
    /// over, lest a wrong estimate refuse everybody; or when it is too old.
    pub(super) fn expiry(
        &self,
        entry: &Entry<K, T>,
        cost: Duration,
        now: Instant,
    ) -> Option<(Instant, DropReason)> {
        let late = entry.deadline.and_then(|deadline| {
            let left = deadline.saturating_duration_since(now);
            deadline.checked_sub(cost.min(left / 2))
        });
        let old = self.limits.max_age.and_then(|age| entry.queued_at.checked_add(age));
        let late = late.map(|at| (at, DropReason::Late));
        let old = old.map(|at| (at, DropReason::TooOld));
        late.into_iter().chain(old).min_by_key(|(at, _)| *at)
    }

    /// Drops what is too late.
    pub(super) fn expire(&mut self, now: Instant, dropped: &mut Vec<Dropped<T>>) {
        while let Some((_, id)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            let Some(slot) = self.remove(id) else { break };
            let reason = slot.expiry.map_or(DropReason::Late, |(_, reason)| reason);
            dropped.push(Dropped { work: slot.entry.work, reason });
        }
    }
}
