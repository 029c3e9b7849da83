//! What every call needs and what changes seldom: remembered for a while, and read again ahead of need, so that no call waits.
//!
//! ```text
//!           a caller reads it
//! nothing ---------------------> remembered <----+ read again by `tasks/refresh_known.rs`, if it was used
//!    ^                               |  |        | since the last time and would soon be too old;
//!    +------- forget ----------------+  +--------+ too old nevertheless: a caller reads it
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often it is looked whether something remembered will soon be too old.
pub const REFRESH_PERIOD: Duration = Duration::from_millis(300);

/// A value that is believed for a while. Cloned freely; clones share it.
pub struct Known<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    believed_for: Duration,
    slot: Mutex<Slot<T>>,
    /// One caller reads, the others wait for what it finds.
    reading: tokio::sync::Mutex<()>,
}

struct Slot<T> {
    found: Option<Found<T>>,
    /// How often it was forgotten: what was being read meanwhile is not remembered.
    forgotten: u64,
}

struct Found<T> {
    /// Before it was read.
    at: Instant,
    value: T,
    used: bool,
}

impl<T: Clone> Known<T> {
    /// Nothing yet. What is found is believed for that long, counted from before it was read.
    pub fn new(believed_for: Duration) -> Self {
        let slot = Mutex::new(Slot { found: None, forgotten: 0 });
        Self { shared: Arc::new(Shared { believed_for, slot, reading: tokio::sync::Mutex::default() }) }
    }

    /// The value, read if there is none that may be believed.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn get<E>(&self, read: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        if let Some(value) = self.remembered() {
            return Ok(value);
        }
        let _reading = self.shared.reading.lock().await;
        match self.remembered() {
            Some(value) => Ok(value),
            None => self.read(true, read).await,
        }
    }

    /// Reads it again if it was used since it was read the last time and may not last until the look after next.
    ///
    /// # Errors
    /// Those of `read`. What is remembered stays so until it is too old.
    pub async fn refresh<E>(&self, read: impl AsyncFnOnce() -> Result<T, E>) -> Result<(), E> {
        let is_due = |found: &Found<T>| found.used && is_due(found.at, self.shared.believed_for);
        if self.shared.slot.lock().found.as_ref().is_some_and(is_due) {
            self.read(false, read).await?;
        }
        Ok(())
    }

    /// The next caller reads it anew.
    pub fn forget(&self) {
        let mut slot = self.shared.slot.lock();
        slot.found = None;
        slot.forgotten = slot.forgotten.wrapping_add(1);
    }

    fn remembered(&self) -> Option<T> {
        let mut slot = self.shared.slot.lock();
        let found = slot.found.as_mut().filter(|found| found.at.elapsed() < self.shared.believed_for)?;
        found.used = true;
        Some(found.value.clone())
    }

    async fn read<E>(&self, used: bool, read: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E> {
        let (at, forgotten) = (Instant::now(), self.shared.slot.lock().forgotten);
        let value = read().await?;
        let mut slot = self.shared.slot.lock();
        if slot.forgotten == forgotten && slot.found.as_ref().is_none_or(|found| found.at < at) {
            slot.found = Some(Found { at, value: value.clone(), used });
        }
        Ok(value)
    }
}

/// Whether something read at that time may be too old when it is looked at for the time after next.
pub fn is_due(at: Instant, believed_for: Duration) -> bool {
    at.elapsed() + 2 * REFRESH_PERIOD > believed_for
}

/// Not derived: clones need no clonable value.
impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> fmt::Debug for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").field("believed_for", &self.shared.believed_for).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
