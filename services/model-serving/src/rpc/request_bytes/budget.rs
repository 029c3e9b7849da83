//! A number of bytes that many share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What may be charged in all, and what is. Locks nothing.
#[derive(Debug)]
pub(in crate::rpc) struct Budget {
    limit: usize,
    charged: AtomicUsize,
}

/// A charge; given back when it is dropped.
#[derive(Debug)]
pub(in crate::rpc) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// Nothing is charged yet.
    pub(in crate::rpc) const fn new(limit: usize) -> Self {
        Self { limit, charged: AtomicUsize::new(0) }
    }

    /// Charges so many bytes, or none if that would be more than the limit.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Option<Charge> {
        let more = |charged: usize| charged.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let charged = self.charged.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        charged.ok().map(|_| Charge { budget: Arc::clone(self), bytes })
    }

    #[cfg(test)]
    pub(super) fn charged(&self) -> usize {
        self.charged.load(Ordering::Acquire)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.charged.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
