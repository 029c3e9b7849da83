//! A limit on the time that loading in this process may take: the trial before it ran within limits, and a machine under
//! load, or a graph that can tell where it runs, must not hold up every other model.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::cancel::CancelToken;

/// How soon after the other token this one is cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A token that is cancelled with another one, or when the time is up. Its thread ends when it is dropped.
pub(super) struct LoadLimit {
    token: CancelToken,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    done: Mutex<bool>,
    ended: Condvar,
}

impl LoadLimit {
    /// Starts the clock.
    pub(super) fn start(time: Duration, outer: &CancelToken) -> std::io::Result<Self> {
        let (token, shared) = (CancelToken::default(), Arc::<Shared>::default());
        let thread = {
            let (token, outer, shared) = (token.clone(), outer.clone(), Arc::clone(&shared));
            let until = Instant::now().checked_add(time);
            Builder::new().name("load-limit".to_owned()).spawn(move || {
                let mut done = shared.done.lock();
                while !*done {
                    let late = until.is_some_and(|until| until <= Instant::now());
                    if late || outer.is_cancelled() {
                        return token.cancel();
                    }
                    shared.ended.wait_for(&mut done, LOOK_EVERY);
                }
            })?
        };
        Ok(Self { token, shared, thread: Some(thread) })
    }

    /// What the load must obey.
    pub(super) const fn token(&self) -> &CancelToken {
        &self.token
    }
}

impl Drop for LoadLimit {
    fn drop(&mut self) {
        *self.shared.done.lock() = true;
        self.shared.ended.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that limits a load panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cancelled_within(limit: &LoadLimit, time: Duration) -> bool {
        let until = Instant::now() + time;
        while Instant::now() < until && !limit.token().is_cancelled() {
            std::thread::sleep(Duration::from_millis(5));
        }
        limit.token().is_cancelled()
    }

    #[test]
    fn time_or_the_other_token_cancels_and_an_end_does_not() {
        let outer = CancelToken::default();
        let short = LoadLimit::start(Duration::from_millis(20), &outer).unwrap();
        assert!(cancelled_within(&short, Duration::from_secs(5)));
        let long = LoadLimit::start(Duration::from_secs(3600), &outer).unwrap();
        assert!(!cancelled_within(&long, Duration::from_millis(150)));
        let token = LoadLimit::start(Duration::from_secs(3600), &outer).unwrap().token().clone();
        assert!(!token.is_cancelled());
        outer.cancel();
        assert!(cancelled_within(&long, Duration::from_secs(5)));
    }
}
