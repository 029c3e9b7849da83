//! How far the follower is, and a way to ask it to look again now.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// Where following stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// Not caught up yet since the start.
    Starting,
    /// Caught up at least once; what is new since then is taken as it comes.
    Synced,
    /// The server's chain forks off deeper than allowed: nothing is followed until it does not, or the
    /// operator allows deeper reorgs.
    Halted,
}

#[derive(Debug, Clone, Copy)]
struct Status {
    state: SyncState,
    /// The number of the round under way or last begun.
    begun: u64,
    /// The number of the last round that ended.
    ended: u64,
}

/// The follower's end.
#[derive(Debug)]
pub struct SyncReporter {
    status: watch::Sender<Status>,
    poke: Arc<Notify>,
}

/// Everyone else's end.
#[derive(Debug, Clone)]
pub struct SyncMonitor {
    status: watch::Receiver<Status>,
    poke: Arc<Notify>,
}

/// Both ends.
pub fn channel() -> (SyncReporter, SyncMonitor) {
    let (status, receiver) = watch::channel(Status { state: SyncState::Starting, begun: 0, ended: 0 });
    let poke = Arc::new(Notify::new());
    (SyncReporter { status, poke: Arc::clone(&poke) }, SyncMonitor { status: receiver, poke })
}

impl SyncReporter {
    /// Announces that what is asked of the server from now on belongs to a new round.
    pub fn begin_round(&self) {
        self.status.send_modify(|status| status.begun = status.begun.saturating_add(1));
    }

    /// Announces that everything the round found is stored, or that it failed.
    pub fn end_round(&self) {
        self.status.send_modify(|status| status.ended = status.begun);
    }

    /// Changes the state; returns true if it was another one.
    pub fn set_state(&self, state: SyncState) -> bool {
        self.status.send_if_modified(|status| std::mem::replace(&mut status.state, state) != state)
    }

    /// Ends when somebody asked for a round since the last time this ended.
    pub async fn poked(&self) {
        self.poke.notified().await;
    }
}

impl SyncMonitor {
    /// Where following stands.
    pub fn state(&self) -> SyncState {
        self.status.borrow().state
    }

    /// Asks for a round that begins from now on, and waits until it ended, at most `timeout`.
    pub async fn refresh(&self, timeout: Duration) {
        let mut status = self.status.clone();
        let begun = status.borrow_and_update().begun;
        self.poke.notify_one();
        let newer = status.wait_for(|status| status.ended > begun);
        // Late or never: the caller looks at the chain as it is and decides.
        drop(tokio::time::timeout(timeout, newer).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refresh_waits_for_a_round_that_began_after_it() {
        let (reporter, monitor) = channel();
        reporter.begin_round();
        let refresh = monitor.refresh(Duration::from_secs(5));
        let rounds = async {
            reporter.poked().await;
            // The round under way when the refresh was asked for does not count.
            reporter.end_round();
            tokio::task::yield_now().await;
            reporter.set_state(SyncState::Synced);
            reporter.begin_round();
            reporter.end_round();
        };
        tokio::join!(refresh, rounds);
        assert_eq!(monitor.state(), SyncState::Synced);
    }

    #[tokio::test]
    async fn a_refresh_gives_up() {
        let (_reporter, monitor) = channel();
        monitor.refresh(Duration::from_millis(10)).await;
        assert_eq!(monitor.state(), SyncState::Starting);
    }
}
