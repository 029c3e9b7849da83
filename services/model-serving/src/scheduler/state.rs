//! What the threads and the callers share, under one lock.

use tokio::sync::oneshot;

use super::{Done, Runner};
use crate::cancel::CancelToken;
use crate::domain::scheduler::{EntryId, Scheduler};
use crate::error::ServeError;

/// What is done with new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Taken.
    Open,
    /// Refused; nothing is run.
    Stopped,
    /// Refused for ever: the runners panicked too often.
    Broken,
}

pub(super) struct State<R: Runner> {
    pub(super) queue: Scheduler<R::Key, Job<R>>,
    pub(super) phase: Phase,
    /// What each thread runs.
    pub(super) running: Vec<Option<Running>>,
    /// Panics in a row.
    pub(super) panics: u32,
}

/// A request and where its answer goes.
pub(super) struct Job<R: Runner> {
    pub(super) work: R::Work,
    pub(super) reply: oneshot::Sender<Result<Done<R::Output>, ServeError>>,
}

/// A run.
pub(super) struct Running {
    pub(super) cancel: CancelToken,
    /// Those who still wait for it.
    pub(super) waiting: Vec<EntryId>,
}

impl Running {
    pub(super) fn of(waiting: Vec<EntryId>) -> Self {
        Self { cancel: CancelToken::default(), waiting }
    }
}

impl<R: Runner> State<R> {
    /// The tokens of all runs.
    pub(super) fn tokens(&self) -> Vec<CancelToken> {
        self.running.iter().flatten().map(|running| running.cancel.clone()).collect()
    }

    /// Sets what a thread runs.
    pub(super) fn set_running(&mut self, instance: usize, running: Option<Running>) {
        if let Some(slot) = self.running.get_mut(instance) {
            *slot = running;
        }
    }

    /// Somebody does not wait any more; answers the token of his run if he was the last.
    pub(super) fn leave(&mut self, id: EntryId) -> Option<CancelToken> {
        let running = self.running.iter_mut().flatten().find(|running| running.waiting.contains(&id))?;
        running.waiting.retain(|waiting| *waiting != id);
        running.waiting.is_empty().then(|| running.cancel.clone())
    }
}
