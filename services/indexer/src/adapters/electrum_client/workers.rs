//! Threads that own the connections, behind one bounded queue.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use electrum_client::Param;
use serde_json::Value;
use tokio::sync::oneshot;

use super::ElectrumOptions;
use super::connection::Connection;
use crate::ports::SourceError;

/// Calls that may wait for a free connection. More are shed.
const QUEUE_CAPACITY: usize = 256;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Workers {
    queue: SyncSender<Call>,
    request_timeout: Duration,
}

struct Call {
    method: &'static str,
    params: Vec<Param>,
    deadline: Instant,
    reply: oneshot::Sender<Result<Value, SourceError>>,
}

impl Workers {
    pub(super) fn start(options: &ElectrumOptions) -> std::io::Result<Self> {
        let (queue, calls) = sync_channel(QUEUE_CAPACITY);
        let calls = Arc::new(Mutex::new(calls));
        let gate = Arc::new(Mutex::new(Gate::open()));
        for number in 0..options.connections.max(1) {
            let worker = Worker { options: options.clone(), connection: None, gate: Arc::clone(&gate) };
            let calls = Arc::clone(&calls);
            std::thread::Builder::new()
                .name(format!("electrum-{number}"))
                .spawn(move || worker.run(&calls))?;
        }
        Ok(Self { queue, request_timeout: options.request_timeout })
    }

    /// Queues a call and waits for its answer, at most the request timeout.
    pub(super) async fn call(&self, method: &'static str, params: Vec<Param>) -> Result<Value, SourceError> {
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + self.request_timeout;
        self.queue.try_send(Call { method, params, deadline, reply }).map_err(|error| match error {
            TrySendError::Full(_) => SourceError::Overloaded { retry_after: self.request_timeout },
            TrySendError::Disconnected(_) => SourceError::Unavailable("its threads have ended".to_owned()),
        })?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(SourceError::Unavailable("its threads have ended".to_owned())),
            Err(_) => Err(SourceError::Unavailable(format!("no answer to {method} in time"))),
        }
    }
}

struct Worker {
    options: ElectrumOptions,
    connection: Option<Connection>,
    gate: Arc<Mutex<Gate>>,
}

/// Keeps all workers together from hammering a server that refuses connections.
struct Gate {
    backoff: Duration,
    /// No new attempt before this moment, and why the last one failed.
    closed: Option<(Instant, SourceError)>,
}

impl Gate {
    const fn open() -> Self {
        Self { backoff: FIRST_BACKOFF, closed: None }
    }

    fn check(&self) -> Result<(), SourceError> {
        match &self.closed {
            Some((until, reason)) if Instant::now() < *until => Err(reason.clone()),
            _ => Ok(()),
        }
    }

    fn close(&mut self, reason: SourceError) {
        self.closed = Some((Instant::now() + self.backoff, reason));
        self.backoff = self.backoff.saturating_mul(2).min(LONGEST_BACKOFF);
    }
}

impl Worker {
    /// Ends when the last sender is gone.
    fn run(mut self, calls: &Mutex<Receiver<Call>>) {
        loop {
            let next = calls.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(call) = next else { return };
            // Nobody waits any more: the work would be wasted.
            if call.reply.is_closed() || Instant::now() >= call.deadline {
                continue;
            }
            let outcome = self.answer(call.method, call.params, call.deadline);
            // The caller may have left while the server worked; there is nobody else to tell.
            drop(call.reply.send(outcome));
        }
    }

    fn answer(
        &mut self,
        method: &'static str,
        params: Vec<Param>,
        deadline: Instant,
    ) -> Result<Value, SourceError> {
        let reused = self.connection.is_some();
        let first = self.attempt(method, params.clone(), deadline);
        match first {
            // A kept connection may have been closed by the server while idle. All our calls can be repeated.
            Err(SourceError::Unavailable(_)) if reused && Instant::now() < deadline => {
                self.attempt(method, params, deadline)
            }
            outcome => outcome,
        }
    }

    fn attempt(
        &mut self,
        method: &'static str,
        params: Vec<Param>,
        deadline: Instant,
    ) -> Result<Value, SourceError> {
        let outcome = self.connected(deadline)?.call(method, params, deadline);
        if let Err(error) = &outcome
            && !matches!(error, SourceError::Refused(_))
        {
            tracing::debug!(method, %error, "electrum connection dropped");
            self.connection = None;
        }
        outcome
    }

    fn connected(&mut self, deadline: Instant) -> Result<&Connection, SourceError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reconnect(deadline)?,
        };
        Ok(self.connection.insert(connection))
    }

    fn reconnect(&self, deadline: Instant) -> Result<Connection, SourceError> {
        self.gate().check()?;
        let opened = Connection::open(&self.options.endpoint, self.options.genesis_hash, deadline);
        match &opened {
            Ok(_) => {
                tracing::debug!(endpoint = %self.options.endpoint, "electrum connection opened");
                *self.gate() = Gate::open();
            }
            Err(error) => self.gate().close(error.clone()),
        }
        opened
    }

    fn gate(&self) -> std::sync::MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
