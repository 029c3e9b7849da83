//! What may wait.

use std::time::Duration;

/// The most entries a file may ask for.
pub const MAX_ENTRIES: usize = 1_000_000;
/// The most levels a file may ask for: each is a queue of its own.
pub const MAX_PRIORITY_LEVELS: u32 = 64;
/// The longest an entry may be made to wait; a client that waits longer has gone.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// What may wait for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSettings {
    /// The most entries; more are refused with OVERLOADED.
    pub max_entries: usize,
    /// The most bytes of tensors over all entries.
    pub max_bytes: usize,
    /// An entry that waited longer is refused, not run; none waits until its deadline.
    pub max_age: Option<Duration>,
    /// The levels a request may choose from; 0 and 1 both mean one level.
    pub priority_levels: u32,
    /// The level of a request that names none; 1 is the highest.
    pub default_priority: u32,
}

impl QueueSettings {
    /// One level, no limit of age.
    pub const fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self { max_entries, max_bytes, max_age: None, priority_levels: 1, default_priority: 1 }
    }

    /// The level of a request that asks for `priority`, 0 meaning none; none if there is no such level.
    pub fn priority(&self, priority: u32) -> Option<u32> {
        match priority {
            0 => Some(self.default_priority),
            _ => (priority <= self.priority_levels.max(1)).then_some(priority),
        }
    }
}
