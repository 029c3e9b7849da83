//! What goes in and what comes out.

use std::sync::Arc;
use std::time::{Duration, Instant};

/// Names an entry of one scheduler; later entries have higher numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u64);

/// What may wait, and what may run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most entries that wait.
    pub max_entries: usize,
    /// The most bytes that wait. One entry is taken by an empty queue whatever its size.
    pub max_bytes: usize,
    /// The longest an entry may wait.
    pub max_age: Option<Duration>,
    /// The most rows of a batch. An entry that has more by itself runs alone.
    pub max_rows: usize,
    /// The most tokens of a batch, rows times padded width. An entry that has more by itself runs alone.
    pub max_tokens: usize,
    /// How long an entry may wait for company although an instance is idle.
    pub max_delay: Duration,
}

/// A request for one run, alone or with others.
#[derive(Debug)]
pub struct Entry<K, T> {
    /// What is to be done.
    pub work: T,
    /// Entries with equal keys may share a run; none runs alone.
    pub key: Option<K>,
    /// Its rows.
    pub rows: usize,
    /// The length of each row in tokens; 0 where rows are not padded.
    pub width: usize,
    /// The memory it holds.
    pub bytes: usize,
    /// The level; the lowest number is served first.
    pub priority: u32,
    /// Accounts of one level are served fairly, by rows times width.
    pub account: Arc<str>,
    /// The answer is of no use after it.
    pub deadline: Option<Instant>,
    /// When the call asked.
    pub queued_at: Instant,
}

impl<K, T> Entry<K, T> {
    /// What an account is charged for it.
    pub(super) fn units(&self) -> u64 {
        u64::try_from(self.rows.max(1).saturating_mul(self.width.max(1))).unwrap_or(u64::MAX)
    }
}

/// An entry that waits.
#[derive(Debug)]
pub(super) struct Slot<K, T> {
    pub(super) entry: Entry<K, T>,
    /// Its place in the fair order of its level.
    pub(super) tag: u64,
    /// The time it should take an instance.
    pub(super) cost: Duration,
    /// How long it should take from its arrival to its answer, as was foretold then.
    pub(super) foretold: Duration,
    /// When it is dropped, and why then.
    pub(super) expiry: Option<(Instant, DropReason)>,
}

impl<K, T> Slot<K, T> {
    pub(super) fn into_ready(self, id: EntryId) -> Ready<T> {
        let Entry { work, rows, width, queued_at, .. } = self.entry;
        Ready { id, work, rows, width, queued_at }
    }
}

/// An entry of a batch.
#[derive(Debug)]
pub struct Ready<T> {
    /// Its name.
    pub id: EntryId,
    /// What is to be done.
    pub work: T,
    /// Its rows.
    pub rows: usize,
    /// The length of its rows.
    pub width: usize,
    /// When its call asked.
    pub queued_at: Instant,
}

/// Entries to run together.
#[derive(Debug)]
pub struct Batch<T> {
    /// In the order of their turns; at least one.
    pub entries: Vec<Ready<T>>,
    /// The rows of all.
    pub rows: usize,
    /// The longest width.
    pub width: usize,
    /// The sum of rows times width before padding.
    pub tokens: usize,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), rows: 0, width: 0, tokens: 0 }
    }
}

/// What an idle instance should do.
#[derive(Debug)]
pub struct Next<T> {
    /// Run this.
    pub batch: Option<Batch<T>>,
    /// Tell these callers.
    pub dropped: Vec<Dropped<T>>,
    /// Without a batch: ask again then, or when something was pushed.
    pub wake_at: Option<Instant>,
}

/// An entry that will not run.
#[derive(Debug)]
pub struct Dropped<T> {
    /// What was to be done.
    pub work: T,
    /// Why it is not.
    pub reason: DropReason,
}

/// Why a waiting entry was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Its deadline is past.
    Late,
    /// Its deadline is too near for a run.
    OutOfTime,
    /// It waited longer than the queue allows.
    TooOld,
    /// A more urgent entry, or one of an account with less in the queue, took its place.
    PushedOut,
}

/// Why an entry was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too much waits: in entries, in bytes, or in time before the call's deadline.
    Overloaded {
        /// When there should be room.
        retry_after: Duration,
    },
    /// The deadline had passed already.
    Late,
}
