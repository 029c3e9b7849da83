//! Puts the service together, and takes it apart in order.

use std::net::SocketAddr;
use std::sync::Arc;

use ailayer_platform::health::Health;
use ailayer_platform::server::Server;
use ailayer_platform::tasks::{Shutdown, Tasks};
use tokio::task::spawn_blocking;

use crate::adapters::onnxruntime::{OnnxRuntime, SessionOptions};
use crate::catalog::Catalog;
use crate::config::{Config, Switch};
use crate::error::RunError;
use crate::loading::{Instances, Loader};
use crate::memory::{Machine, MemoryBudget};
use crate::ports::RepositoryControl;
use crate::repository::{self, Cache, RepositoryError, VersionFolder};
use crate::rpc::{self, Rpc};
use crate::tasks::reconcile_repository::{Models, Parts, ReconcileRepository};
use crate::telemetry::Metrics;
use crate::trial::Trial;

/// Serves until `shutdown`: [`Service::bind`], then [`Service::serve`].
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), RunError> {
    Service::bind(config).await?.serve(shutdown).await
}

/// The service with its engine loaded and its ports taken, before it answers.
pub struct Service {
    config: Config,
    models: Models,
    versions: Vec<VersionFolder>,
    health: Health,
    server: Server,
}

impl Service {
    /// Checks the configuration, loads the engine's library, lists the repository and takes the ports.
    pub async fn bind(config: Config) -> Result<Self, RunError> {
        config.validate()?;
        let options = SessionOptions {
            intra_threads: config.intra_threads,
            max_output_bytes: config.max_inference_message_bytes,
        };
        let library = config.library()?;
        let engine = blocking(move || OnnxRuntime::try_new(&library, options)).await??;
        let versions = every_version(&config)?;
        let cache = Cache::try_new(&config.cache_dir())?;
        let health = Health::new();
        let server = Server::bind(crate::NAME, &config.platform, health.clone()).await?;
        let loader = Loader::new(Arc::new(engine), config.clone(), Instances::AsConfigured);
        let machine = Machine::ask();
        let budget = MemoryBudget::new(config.memory_budget(machine));
        let trial = match config.trial {
            Switch::On => {
                let program = config.trial_program().map_err(RunError::TrialProgram)?;
                Some(Trial::new(program, config.library()?, config.trial_limits(machine), &config))
            }
            Switch::Off => None,
        };
        let models = Models { loader, trial, budget, cache };
        Ok(Self { config, models, versions, health, server })
    }

    /// Where gRPC answers.
    pub const fn grpc_address(&self) -> SocketAddr {
        self.server.grpc_address()
    }

    /// Where `/livez`, `/readyz` and `/metrics` answer.
    pub const fn admin_address(&self) -> SocketAddr {
        self.server.admin_address()
    }

    /// Serves until `shutdown`, then answers what is in flight, and joins every thread before it returns.
    ///
    /// Live at once, ready when every version that is loaded at start is. One that does not load
    /// keeps the service unready and the others serving.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { config, models, versions, health, server } = self;
        let catalog = Arc::new(Catalog::default());
        let mut at_start: Vec<String> = versions.iter().map(|version| version.id.name.clone()).collect();
        at_start.dedup();
        at_start.retain(|name| config.loads_at_start(name));
        catalog.found(versions.into_iter().map(|version| version.id));
        let parts = Parts { models, catalog: Arc::clone(&catalog), health: health.clone() };
        let reconciler = Arc::new(ReconcileRepository::start(parts, at_start).map_err(RunError::Thread)?);
        let tasks = Tasks::new(shutdown, config.platform.grace_period);
        let control: Arc<dyn RepositoryControl> = Arc::<ReconcileRepository>::clone(&reconciler);
        let rpc = Rpc::new(Arc::clone(&catalog), control, health, Metrics::new());
        server.spawn(&tasks, &rpc::SERVICE_NAMES, rpc.routes(config.message_limits()));

        let ended = tasks.join().await;
        // Every call has been answered or given up. A kernel that still ran while the process exits
        // would race the engine's own exit handlers.
        blocking(move || {
            reconciler.stop();
            catalog.stop();
        })
        .await?;
        Ok(ended?)
    }
}

/// Of every model, what its policy serves.
fn every_version(config: &Config) -> Result<Vec<VersionFolder>, RepositoryError> {
    let mut found = Vec::new();
    for (name, folder) in repository::models(&config.repository)? {
        found.extend(repository::versions(&name, &folder, None)?);
    }
    Ok(found)
}

async fn blocking<T: Send + 'static>(step: impl FnOnce() -> T + Send + 'static) -> Result<T, RunError> {
    spawn_blocking(step).await.map_err(|_| RunError::Panicked)
}
