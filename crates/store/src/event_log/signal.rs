//! Waking readers of the same process.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// Tells live readers that there is something new. Only a hint: readers look again after a time-out anyway, so a
/// missed wake-up delays and never loses, and writers in other processes are noticed too.
///
/// Every reader waits on a clone of its own. A notification between reading and waiting is not missed.
#[derive(Debug, Clone)]
pub struct Signal {
    sender: Arc<watch::Sender<u64>>,
    receiver: watch::Receiver<u64>,
}

impl Signal {
    /// A signal that nobody has given yet.
    pub fn new() -> Self {
        let (sender, receiver) = watch::channel(0);
        Self { sender: Arc::new(sender), receiver }
    }

    /// Wakes all readers. Call it after the commit.
    pub fn notify(&self) {
        self.sender.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Returns at the first notification since the last wait of this clone, or after `timeout`.
    pub async fn wait(&mut self, timeout: Duration) {
        // Neither outcome matters: the caller reads again in any case. The sender lives as long as we do.
        tokio::time::timeout(timeout, self.receiver.changed()).await.ok();
    }
}

impl Default for Signal {
    fn default() -> Self {
        Self::new()
    }
}
