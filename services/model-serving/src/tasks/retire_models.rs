//! Lets versions that were taken off the catalog finish their calls, then stops them, on a thread of its own.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::catalog::Catalog;
use crate::model::Model;

/// How often it is looked whether the last call has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The most versions that wait for their last calls; who retires more waits with them.
const MOST_RETIRING: usize = 64;

/// The thread. Stops and joins it when dropped.
#[derive(Debug)]
pub struct RetireModels {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    catalog: Arc<Catalog>,
    state: Mutex<State>,
    arrived: Condvar,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Retiring>,
    /// Versions that are being stopped just now.
    stopping: usize,
    ended: bool,
}

#[derive(Debug)]
struct Retiring {
    model: Arc<Model>,
    /// Calls that still run then are cancelled.
    until: Instant,
}

impl Retiring {
    /// True if this is the only one who holds the model, so that no call can come any more.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.model) == 1
    }
}

impl RetireModels {
    /// Starts the thread.
    pub fn start(catalog: Arc<Catalog>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            catalog,
            state: Mutex::default(),
            arrived: Condvar::new(),
            left: Condvar::new(),
        });
        let thread = Builder::new().name("retire_models".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run()
        })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes over versions that [`Catalog::swap`] gave out. Each is stopped when its last call has been answered, at the
    /// latest after `grace`. Blocks only if very many retire already.
    pub fn retire(&self, models: Vec<Arc<Model>>, grace: Duration) {
        let now = Instant::now();
        let mut state = self.shared.state.lock();
        for model in models {
            while state.waiting.len() >= MOST_RETIRING && !state.ended {
                self.shared.left.wait(&mut state);
            }
            let until = now.checked_add(grace).unwrap_or(now);
            state.waiting.push(Retiring { model, until });
        }
        drop(state);
        self.shared.arrived.notify_one();
    }

    /// Waits until nothing retires any more: at most the grace of the last one. Blocks.
    pub fn wait(&self) {
        let mut state = self.shared.state.lock();
        while !(state.waiting.is_empty() && state.stopping == 0 || state.ended) {
            self.shared.left.wait(&mut state);
        }
    }

    /// Stops what is left at once and joins the thread. Blocks; idempotent.
    pub fn stop(&self) {
        self.shared.state.lock().ended = true;
        self.shared.arrived.notify_all();
        self.shared.left.notify_all();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the retiring thread panicked");
        }
        // Those that came after the thread had ended.
        for late in self.shared.state.lock().waiting.drain(..) {
            late.model.stop();
        }
    }
}

impl Drop for RetireModels {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        loop {
            let (now, ended) = (Instant::now(), state.ended);
            let due = |retiring: &Retiring| ended || retiring.is_idle() || retiring.until <= now;
            if let Some(at) = state.waiting.iter().position(due) {
                let retiring = state.waiting.swap_remove(at);
                state.stopping = state.stopping.saturating_add(1);
                drop(state);
                self.end(retiring);
                state = self.state.lock();
                state.stopping = state.stopping.saturating_sub(1);
                self.left.notify_all();
            } else if ended {
                return;
            } else if state.waiting.is_empty() {
                self.arrived.wait(&mut state);
            } else {
                self.arrived.wait_for(&mut state, LOOK_EVERY);
            }
        }
    }

    fn end(&self, retiring: Retiring) {
        let Retiring { model, .. } = retiring;
        let id = model.info().id.clone();
        let cut_short = Arc::strong_count(&model) > 1;
        model.stop();
        // Its memory is given back before anybody hears that it is gone.
        drop(model);
        self.catalog.retired(&id);
        if cut_short {
            tracing::warn!(model = %id, "model unloaded, calls that took longer than the grace period were cancelled");
        } else {
            tracing::info!(model = %id, "model unloaded");
        }
    }
}
