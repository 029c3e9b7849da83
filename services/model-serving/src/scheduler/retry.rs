//! How much may be spent on finding the offenders of a failed batch.

use std::time::Duration;

/// A part of the time that went well may be spent on running entries of failed batches again.
const SHARE: u32 = 4;
/// What may be spent in one go.
const MOST: Duration = Duration::from_secs(2);

/// Bounds re-runs, so that one poisonous client cannot halve the capacity.
#[derive(Debug)]
pub(super) struct RetryBudget {
    left: Duration,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { left: MOST }
    }
}

impl RetryBudget {
    /// A batch went well.
    pub(super) fn earn(&mut self, time: Duration) {
        self.left = self.left.saturating_add(time / SHARE).min(MOST);
    }

    /// An entry ran again.
    pub(super) fn spend(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    pub(super) const fn is_spent(&self) -> bool {
        self.left.is_zero()
    }
}
