//! The owned threads of one model: each has its own session and runs the batches that `domain::scheduler` cuts.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::cancel::CancelToken;
use crate::domain::call::CallContext;
use crate::domain::scheduler::{EntryId, Limits, Scheduler, ServiceTimes};
use crate::error::ServeError;
use crate::telemetry::ModelMetrics;
use crate::worker::WorkerError;

mod instance;
mod retry;
mod state;
mod submit;
mod ticket;

pub use submit::Request;
pub use ticket::{Done, Ticket};

use state::{Phase, State};

/// Runs batches; one a thread.
pub trait Runner: Send + 'static {
    /// Which entries may share a run.
    type Key: Clone + Eq + std::hash::Hash + Send + 'static;
    /// What is to be done for one entry.
    type Work: Send + 'static;
    /// What an entry is answered.
    type Output: Send + 'static;

    /// Runs entries of one key together. Blocks; ends early soon after the token is cancelled.
    ///
    /// Answers as many outputs as there are entries, in order: an entry may fail alone. An error is of the whole
    /// batch; its entries are then run again one by one, so that only offenders fail.
    fn run(&mut self, batch: &[&Self::Work], cancel: &CancelToken) -> Result<Ran<Self::Output>, ServeError>;
}

/// A batch that ran to its end.
#[derive(Debug)]
pub struct Ran<O> {
    /// One an entry.
    pub outputs: Vec<Result<O, ServeError>>,
    /// The tokens the engine saw, padding included; 0 for tensors.
    pub padded_tokens: usize,
    /// Time spent putting the batch together.
    pub compute_input: Duration,
    /// Time in the engine.
    pub compute_infer: Duration,
    /// Time spent taking the outputs apart.
    pub compute_output: Duration,
}

/// The instances of one model behind one queue. Stops and joins its threads when dropped.
pub struct Instances<R: Runner> {
    shared: Arc<Shared<R>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared<R: Runner> {
    state: Mutex<State<R>>,
    work_arrived: Condvar,
    metrics: Arc<ModelMetrics>,
}

impl<R: Runner> Instances<R> {
    /// Starts one thread a runner.
    pub fn start(
        limits: Limits,
        times: ServiceTimes,
        metrics: Arc<ModelMetrics>,
        runners: Vec<R>,
    ) -> std::io::Result<Self> {
        let state = State {
            queue: Scheduler::new(limits, runners.len(), times),
            phase: Phase::Open,
            running: runners.iter().map(|_| None).collect(),
            panics: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), work_arrived: Condvar::new(), metrics });
        let instances = Self { shared: Arc::clone(&shared), threads: Mutex::default() };
        for (index, runner) in runners.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            // On failure `instances` is dropped, which stops the threads that did start.
            let thread =
                Builder::new().name("inference".to_owned()).spawn(move || shared.work(index, runner))?;
            instances.threads.lock().push(thread);
        }
        Ok(instances)
    }

    /// Queues requests of one call, all or none, in order. A ticket that is dropped takes its entry back; a run
    /// ends early when every entry of it was taken back.
    pub fn submit(
        &self,
        requests: Vec<Request<R::Key, R::Work>>,
        context: &CallContext,
        priority: u32,
    ) -> Result<Vec<Ticket<R>>, WorkerError> {
        Shared::submit(&self.shared, requests, context, priority)
    }

    /// True if the runners panicked too often to be trusted; nothing is taken any more.
    pub fn is_broken(&self) -> bool {
        self.shared.state.lock().phase == Phase::Broken
    }

    /// Refuses new work, drops what waits, cancels what runs, and joins the threads. Blocks; idempotent.
    pub fn stop(&self) {
        let (dropped, tokens) = {
            let mut state = self.shared.state.lock();
            state.phase = Phase::Stopped;
            (state.queue.clear(), state.tokens())
        };
        self.shared.work_arrived.notify_all();
        // Outside the lock: both wake others.
        drop(dropped);
        tokens.iter().for_each(CancelToken::cancel);
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("an inference thread panicked outside its runner");
            }
        }
    }
}

impl<R: Runner> Drop for Instances<R> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<R: Runner> Shared<R> {
    /// A caller has left: what waits is taken out, what runs is cancelled if nobody else waits for it.
    fn take_back(&self, id: EntryId) -> bool {
        let mut state = self.state.lock();
        let waited = state.queue.cancel(id);
        let token = if waited.is_some() { None } else { state.leave(id) };
        self.metrics.queue_length(state.queue.len());
        drop(state);
        if let Some(token) = token {
            token.cancel();
        }
        waited.is_some()
    }
}

impl<R: Runner> std::fmt::Debug for Instances<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instances(threads: {})", self.threads.lock().len())
    }
}

#[cfg(test)]
mod tests;
