//! Owned threads behind a bounded queue: where everything that blocks or computes runs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::cancel::{CancelOnDrop, CancelToken};
use crate::domain::queue::{Entry, EntryQueue, Full, QueueLimits};

/// The shortest and the longest time after which a caller is told to try again.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// A call that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The queue is full.
    #[error("the queue is full")]
    Overloaded {
        /// When there should be room, by the recent time a call takes.
        retry_after: Duration,
    },
    /// The worker is stopping or has stopped.
    #[error("the worker is stopping")]
    Stopping,
    /// The handler panicked; the worker goes on.
    #[error("the worker panicked")]
    Panicked,
    /// The deadline passed before there was an answer.
    #[error("the deadline passed")]
    Late,
    /// The handler panicked too often; the worker takes no more work.
    #[error("the worker panics again and again")]
    Broken,
}

/// An answer.
#[derive(Debug)]
pub struct Done<O> {
    /// What the handler made of the input.
    pub output: O,
}

/// Does the work. One a thread.
pub trait Handler<I, O>: FnMut(I, &CancelToken) -> O + Send + 'static {}
impl<I, O, F: FnMut(I, &CancelToken) -> O + Send + 'static> Handler<I, O> for F {}

/// Threads with one queue. Stops and joins them when dropped.
pub struct Worker<I, O> {
    shared: Arc<Shared<I, O>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared<I, O> {
    state: Mutex<State<I, O>>,
    work_arrived: Condvar,
}

struct State<I, O> {
    queue: EntryQueue<Job<I, O>>,
    stopping: bool,
    /// The token of the job each thread runs.
    running: Vec<Option<CancelToken>>,
    /// A moving average of the time a job takes.
    run_time: Duration,
}

struct Job<I, O> {
    input: I,
    cancel: CancelToken,
    reply: oneshot::Sender<Result<Done<O>, WorkerError>>,
}

impl<I, O> Job<I, O> {
    fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }
}

impl<I: Send + 'static, O: Send + 'static> Worker<I, O> {
    /// Starts one thread a handler.
    pub fn spawn<H: Handler<I, O>>(
        name: &str,
        limits: QueueLimits,
        handlers: Vec<H>,
    ) -> std::io::Result<Self> {
        let state = State {
            queue: EntryQueue::new(limits),
            stopping: false,
            running: handlers.iter().map(|_| None).collect(),
            run_time: Duration::ZERO,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), work_arrived: Condvar::new() });
        let worker = Self { shared: Arc::clone(&shared), threads: Mutex::default() };
        for (index, handler) in handlers.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            // On failure `worker` is dropped, which stops the threads that did start.
            let thread = Builder::new().name(name.to_owned()).spawn(move || shared.work(index, handler))?;
            worker.threads.lock().push(thread);
        }
        Ok(worker)
    }

    /// Queues work that holds `bytes` of memory, and waits for the answer.
    ///
    /// A dropped call is not worked on if it still waits, and is cancelled if it runs. That is how
    /// deadlines reach the queue: the server drops calls whose deadline has passed.
    pub async fn call(&self, input: I, bytes: usize) -> Result<Done<O>, WorkerError> {
        let (reply, answer) = oneshot::channel();
        let cancel = CancelToken::default();
        let _cancel_on_drop = CancelOnDrop(cancel.clone());
        self.shared.push(Job { input, cancel, reply }, bytes)?;
        answer.await.unwrap_or(Err(WorkerError::Stopping))
    }

    /// The number of entries that wait.
    #[cfg(test)]
    pub fn queue_len(&self) -> usize {
        self.shared.state.lock().queue.len()
    }
}

impl<I, O> Worker<I, O> {
    /// Refuses new work, drops what waits, cancels what runs, and joins the threads. Blocks; idempotent.
    pub fn stop(&self) {
        {
            let mut state = self.shared.state.lock();
            state.stopping = true;
            state.queue.clear();
            state.running.iter().flatten().for_each(CancelToken::cancel);
            self.shared.work_arrived.notify_all();
        }
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked outside its handler");
            }
        }
    }
}

impl<I, O> Drop for Worker<I, O> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<I, O> Shared<I, O> {
    fn push(&self, job: Job<I, O>, bytes: usize) -> Result<(), WorkerError> {
        let mut state = self.state.lock();
        if state.stopping {
            return Err(WorkerError::Stopping);
        }
        let entry = Entry { work: job, bytes };
        if let Err(Full(_)) = state.queue.push(entry, Job::is_gone) {
            return Err(WorkerError::Overloaded { retry_after: state.retry_after() });
        }
        self.work_arrived.notify_one();
        Ok(())
    }

    fn work(&self, index: usize, mut handler: impl FnMut(I, &CancelToken) -> O) {
        while let Some(entry) = self.next(index) {
            let Job { input, cancel, reply } = entry.work;
            let started = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| handler(input, &cancel)));
            let run_time = started.elapsed();
            self.finished(index, run_time);
            let answer = outcome.map(|output| Done { output }).map_err(|_| WorkerError::Panicked);
            // The caller may have left meanwhile; then nobody wants to know.
            drop(reply.send(answer));
        }
    }

    /// Waits for work; `None` when stopping.
    fn next(&self, index: usize) -> Option<Entry<Job<I, O>>> {
        let mut state = self.state.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(entry) = state.queue.pop(Job::is_gone) {
                if let Some(running) = state.running.get_mut(index) {
                    *running = Some(entry.work.cancel.clone());
                }
                return Some(entry);
            }
            self.work_arrived.wait(&mut state);
        }
    }

    fn finished(&self, index: usize, run_time: Duration) {
        let mut state = self.state.lock();
        if let Some(running) = state.running.get_mut(index) {
            *running = None;
        }
        state.run_time = (state.run_time * 7 + run_time) / 8;
    }
}

impl<I, O> State<I, O> {
    fn retry_after(&self) -> Duration {
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        self.run_time.saturating_mul(waiting).clamp(RETRY_AFTER.0, RETRY_AFTER.1)
    }
}

impl<I, O> std::fmt::Debug for Worker<I, O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Worker(threads: {})", self.threads.lock().len())
    }
}

#[cfg(test)]
mod tests;
