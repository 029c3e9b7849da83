//! Owns the repository: what is loaded, swapped and unloaded, one command at a time, on a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_platform::health::Health;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::cancel::CancelToken;
use crate::catalog::Catalog;
use crate::domain::control::{IndexEntry, LoadOverrides, ModelControl};
use crate::domain::model::ModelId;
use crate::error::chain;
use crate::loading::{LoadError, Loader};
use crate::memory::MemoryBudget;
use crate::ports::RepositoryControl;
use crate::repository::{Cache, RepositoryError};
use crate::tasks::retire_models::RetireModels;
use crate::trial::Trial;

mod apply;
mod load_limit;
mod thread;
mod watch;

use thread::Thread;

/// The most commands that wait; more are refused with OVERLOADED.
const COMMAND_CAPACITY: usize = 32;
/// How often versions that panic are looked for where the folder is not polled.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// What versions are loaded with.
pub struct Models {
    /// Loads versions.
    pub loader: Loader,
    /// Tries them out first, unless that is off.
    pub trial: Option<Trial>,
    /// What they may take together.
    pub budget: MemoryBudget,
    /// Keeps their files.
    pub cache: Cache,
}

/// What the reconciler works with.
pub struct Parts {
    /// What versions are loaded with.
    pub models: Models,
    /// What calls see.
    pub catalog: Arc<Catalog>,
    /// What probes see.
    pub health: Health,
}

/// The handle of the thread. Must be stopped before the process ends: the engine's exit handlers would race a load.
pub struct ReconcileRepository {
    commands: SyncSender<Command>,
    control: ModelControl,
    catalog: Arc<Catalog>,
    retire: Arc<RetireModels>,
    cancel: CancelToken,
    thread: Mutex<Option<JoinHandle<()>>>,
}

type Reply = oneshot::Sender<Result<(), ControlError>>;

/// What a caller wants.
enum Command {
    Load {
        name: String,
        overrides: LoadOverrides,
        reply: Reply,
    },
    Unload {
        name: String,
        reply: Reply,
    },
    /// Wakes the thread so that it sees that it is cancelled.
    Stop,
}

/// A command that was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The service's configuration says so.
    #[error("models are not loaded and unloaded by calls here: model_control is not \"explicit\"")]
    NotExplicit,
    /// Nothing of that name.
    #[error("there is no model '{0}' in the repository")]
    NoModel(String),
    /// Not one version is to be served.
    #[error("the policy of the model '{0}' serves none of its versions")]
    NoVersion(String),
    /// A file of the call would lie outside the model's folder.
    #[error("'file:{0}' is no path inside a model's folder")]
    StrayPath(String),
    /// Its folder cannot be read.
    #[error("the repository cannot be used")]
    Repository(#[from] RepositoryError),
    /// A version does not load. What served before goes on.
    #[error("{id} is not loaded")]
    Load {
        /// The version.
        id: ModelId,
        /// Why.
        source: Box<LoadError>,
    },
    /// Too many commands wait.
    #[error("too many models wait to be loaded")]
    Overloaded,
    /// The service is stopping.
    #[error("the service is stopping")]
    Stopping,
}

impl ReconcileRepository {
    /// Starts the thread: it loads the versions in `at_start`, by model, then takes commands.
    pub fn start(parts: Parts, at_start: Vec<String>) -> std::io::Result<Self> {
        let control = parts.models.loader.config().model_control;
        let catalog = Arc::clone(&parts.catalog);
        let retire = Arc::new(RetireModels::start(Arc::clone(&catalog))?);
        let cancel = CancelToken::default();
        let (commands, receiver) = sync_channel(COMMAND_CAPACITY);
        let thread = Thread::new(parts, Arc::clone(&retire), cancel.clone());
        let thread = Builder::new()
            .name("reconcile_repository".to_owned())
            .spawn(move || thread.run(&at_start, &receiver))?;
        let thread = Mutex::new(Some(thread));
        Ok(Self { commands, control, catalog, retire, cancel, thread })
    }

    /// Cancels what is being loaded, stops what is being unloaded, and joins the threads. Blocks; idempotent.
    pub fn stop(&self) {
        self.cancel.cancel();
        // A full queue wakes it as well.
        drop(self.commands.try_send(Command::Stop));
        // Before the thread is waited for: it may wait for calls to end.
        self.retire.stop();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the reconciling thread panicked");
        }
        self.retire.stop();
    }

    /// Hands a command over and waits. A caller who leaves does not undo it.
    async fn ask(&self, command: impl FnOnce(Reply) -> Command) -> Result<(), ControlError> {
        if self.control != ModelControl::Explicit {
            return Err(ControlError::NotExplicit);
        }
        let (reply, answer) = oneshot::channel();
        match self.commands.try_send(command(reply)) {
            Ok(()) => answer.await.unwrap_or(Err(ControlError::Stopping)),
            Err(TrySendError::Full(_)) => Err(ControlError::Overloaded),
            Err(TrySendError::Disconnected(_)) => Err(ControlError::Stopping),
        }
    }
}

impl RepositoryControl for ReconcileRepository {
    fn index(&self, ready_only: bool) -> Vec<IndexEntry> {
        self.catalog.index(ready_only)
    }

    fn load(&self, name: String, overrides: LoadOverrides) -> BoxFuture<'_, Result<(), Failure>> {
        let command = |reply| Command::Load { name, overrides, reply };
        async move { self.ask(command).await.map_err(Failure::from) }.boxed()
    }

    fn unload(&self, name: String) -> BoxFuture<'_, Result<(), Failure>> {
        let command = |reply| Command::Unload { name, reply };
        async move { self.ask(command).await.map_err(Failure::from) }.boxed()
    }
}

impl Drop for ReconcileRepository {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Who loads models owns the repository: the whole reason is for him.
impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let message = chain(&error);
        let reason = match &error {
            ControlError::NotExplicit => ErrorReason::NotOffered,
            ControlError::NoModel(_) => ErrorReason::ModelNotFound,
            ControlError::StrayPath(_) => return Self::invalid_field("parameters", message),
            ControlError::Load { source, .. } if source.is_memory_budget() => ErrorReason::MemoryBudget,
            ControlError::NoVersion(_) | ControlError::Repository(_) | ControlError::Load { .. } => {
                ErrorReason::ModelNotLoadable
            }
            ControlError::Overloaded => ErrorReason::Overloaded,
            ControlError::Stopping => ErrorReason::ShuttingDown,
        };
        Self::new(reason, message)
    }
}
