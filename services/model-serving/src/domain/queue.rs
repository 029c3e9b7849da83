//! The bounded queue in front of a worker: pure.

use std::collections::VecDeque;

/// What a queue may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// The most entries.
    pub max_entries: usize,
    /// The most bytes over all entries. One entry is taken by an empty queue whatever its size.
    pub max_bytes: usize,
}

/// A queued request.
#[derive(Debug)]
pub struct Entry<T> {
    /// What is to be done.
    pub work: T,
    /// The memory it holds.
    pub bytes: usize,
}

/// First in, first out, within limits. Entries whose caller is gone are dropped, not worked on.
#[derive(Debug)]
pub struct EntryQueue<T> {
    entries: VecDeque<Entry<T>>,
    limits: QueueLimits,
    bytes: usize,
}

/// The queue is full; the entry is given back.
#[derive(Debug)]
pub struct Full<T>(pub Entry<T>);

impl<T> EntryQueue<T> {
    /// An empty queue.
    pub const fn new(limits: QueueLimits) -> Self {
        Self { entries: VecDeque::new(), limits, bytes: 0 }
    }

    /// The number of entries, gone callers included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Appends an entry. If the queue is full, entries whose caller is gone make room first.
    pub fn push(&mut self, entry: Entry<T>, is_gone: impl Fn(&T) -> bool) -> Result<(), Full<T>> {
        if !self.has_room(entry.bytes) {
            self.entries.retain(|waiting| !is_gone(&waiting.work));
            self.bytes = self.entries.iter().fold(0, |sum, waiting| sum.saturating_add(waiting.bytes));
        }
        if !self.has_room(entry.bytes) {
            return Err(Full(entry));
        }
        self.bytes = self.bytes.saturating_add(entry.bytes);
        self.entries.push_back(entry);
        Ok(())
    }

    /// Takes the oldest entry whose caller still waits, dropping the others before it.
    pub fn pop(&mut self, is_gone: impl Fn(&T) -> bool) -> Option<Entry<T>> {
        while let Some(entry) = self.entries.pop_front() {
            self.bytes = self.bytes.saturating_sub(entry.bytes);
            if !is_gone(&entry.work) {
                return Some(entry);
            }
        }
        None
    }

    /// Drops every entry.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.entries.is_empty()
            || (self.entries.len() < self.limits.max_entries
                && self.bytes.saturating_add(bytes) <= self.limits.max_bytes)
    }
}

#[cfg(test)]
mod tests;
