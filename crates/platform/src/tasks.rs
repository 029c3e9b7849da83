//! Named tasks that are owned and stopped.
//!
//! A [`Shutdown`] is asked for once, by a signal, by the owner, or by a critical task that failed.
//! [`Tasks::join`] then gives every task the grace period to end and aborts, by name, those that do not.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// A stop that was asked for, or not yet.
#[derive(Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Not asked for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asked for when the process gets SIGTERM or SIGINT.
    pub fn on_signals() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = Self::new();
        let trigger = shutdown.clone();
        #[expect(
            clippy::disallowed_methods,
            reason = "lives as long as the process, before any owner exists"
        )]
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => tracing::info!(signal = "SIGTERM", "stop asked for"),
                _ = interrupt.recv() => tracing::info!(signal = "SIGINT", "stop asked for"),
            }
            trigger.trigger();
        });
        Ok(shutdown)
    }

    /// Asks for the stop. Idempotent.
    pub fn trigger(&self) {
        self.0.cancel();
    }

    /// Ends when the stop is asked for.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }

    /// True once asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Stops with this one, and may be stopped alone.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shutdown(asked: {})", self.is_cancelled())
    }
}

/// How a set of tasks ended badly.
#[derive(Debug, Error)]
pub enum TasksError {
    /// A critical task failed, which stopped the others.
    #[error("task {name} failed")]
    Failed {
        /// The task.
        name: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A task panicked, which stopped the others.
    #[error("task {name} panicked")]
    Panicked {
        /// The task.
        name: &'static str,
    },
    /// Tasks had to be aborted after the grace period.
    #[error("tasks did not stop within the grace period: {}", .0.join(", "))]
    Aborted(Vec<&'static str>),
}

/// The tasks of one owner.
pub struct Tasks {
    shutdown: Shutdown,
    grace_period: Duration,
    running: Mutex<Vec<(&'static str, JoinHandle<()>)>>,
    first_failure: Arc<Mutex<Option<TasksError>>>,
}

impl Tasks {
    /// Tasks that stop with `shutdown` and have `grace_period` to do so.
    pub fn new(shutdown: Shutdown, grace_period: Duration) -> Self {
        Self { shutdown, grace_period, running: Mutex::default(), first_failure: Arc::default() }
    }

    /// The stop these tasks obey.
    pub fn shutdown_token(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// How long the tasks have to end.
    pub const fn grace_period(&self) -> Duration {
        self.grace_period
    }

    /// Starts a task that may end whenever it likes. A panic stops the owner.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.start(name, task.map(|()| None));
    }

    /// Starts a task the owner cannot live without: an error or a panic stops the owner.
    pub fn spawn_critical<E>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: std::error::Error + Send + Sync + 'static,
    {
        let failed = move |error: E| TasksError::Failed { name, source: Box::new(error) };
        self.start(name, task.map(move |outcome| outcome.err().map(failed)));
    }

    fn start(&self, name: &'static str, task: impl Future<Output = Option<TasksError>> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        let first_failure = Arc::clone(&self.first_failure);
        let watched = async move {
            let failure =
                AssertUnwindSafe(task).catch_unwind().await.unwrap_or(Some(TasksError::Panicked { name }));
            if let Some(failure) = failure {
                tracing::error!(task = name, error = %chain(&failure), "critical task ended, stopping");
                lock(&first_failure).get_or_insert(failure);
                shutdown.trigger();
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns: named and owned here")]
        let handle = tokio::spawn(watched.instrument(tracing::info_span!("task", name)));
        let mut running = lock(&self.running);
        running.retain(|(_, handle)| !handle.is_finished());
        running.push((name, handle));
    }

    /// Waits for the stop, then for the tasks, at most the grace period; aborts what is left.
    ///
    /// Returns the first failure of a critical task if there was one, else the names of aborted tasks.
    pub async fn join(self) -> Result<(), TasksError> {
        self.shutdown.cancelled().await;
        let deadline = tokio::time::Instant::now() + self.grace_period;
        let mut aborted = Vec::new();
        loop {
            // Tasks may start others while they end, so look again until none is left.
            let batch = std::mem::take(&mut *lock(&self.running));
            if batch.is_empty() {
                break;
            }
            for (name, mut handle) in batch {
                if tokio::time::timeout_at(deadline, &mut handle).await.is_err() {
                    handle.abort();
                    aborted.push(name);
                }
            }
        }
        if let Some(failure) = lock(&self.first_failure).take() {
            return Err(failure);
        }
        if aborted.is_empty() { Ok(()) } else { Err(TasksError::Aborted(aborted)) }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = lock(&self.running).iter().map(|(name, _)| *name).collect();
        write!(f, "Tasks({})", names.join(", "))
    }
}

/// An error with all its sources in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

/// No code here panics while it holds a lock, so a poisoned one holds sound data.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
