//! Whose turn it is to call the node about a payment hash.

use std::sync::Arc;

use ailayer_primitives::PaymentHash;
use tokio::sync::Mutex;

/// Turns at once. Many hashes share one: what hangs holds up a small share of the others, and as many threads at most.
const TURNS: usize = 64;

/// The turns.
pub(super) struct Turns([Arc<Mutex<()>>; TURNS]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Arc::default()))
    }
}

impl Turns {
    /// The turn that calls about a hash take.
    #[expect(clippy::indexing_slicing, reason = "a remainder of the array's length")]
    pub(super) fn of(&self, payment_hash: PaymentHash) -> Arc<Mutex<()>> {
        let [.., last] = *payment_hash.0.as_bytes();
        Arc::clone(&self.0[usize::from(last) % TURNS])
    }
}
