//! Puts the service together, and takes it apart in order.

use std::net::SocketAddr;
use std::sync::Arc;

use ailayer_platform::health::Health;
use ailayer_platform::server::Server;
use ailayer_platform::tasks::{Shutdown, Tasks};
use tokio::task::spawn_blocking;

use crate::adapters::onnxruntime::{OnnxRuntime, SessionOptions};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::error::RunError;
use crate::loading::Loader;
use crate::repository::{self, VersionFolder};
use crate::rpc::{self, Rpc};
use crate::tasks::load_models::LoadModels;
use crate::telemetry::Metrics;

/// Serves until `shutdown`: [`Service::bind`], then [`Service::serve`].
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), RunError> {
    Service::bind(config).await?.serve(shutdown).await
}

/// The service with its engine loaded and its ports taken, before it answers.
pub struct Service {
    config: Config,
    loader: Loader,
    folders: Vec<VersionFolder>,
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
        let folders = repository::scan(&config.repository)?;
        let health = Health::new();
        let server = Server::bind(crate::NAME, &config.platform, health.clone()).await?;
        let loader = Loader::new(Arc::new(engine), config.clone());
        Ok(Self { config, loader, folders, health, server })
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
    /// Live at once, ready when every version in the repository is loaded. A version that does not load
    /// keeps the service unready and the others serving.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { config, loader, folders, health, server } = self;
        let catalog = Arc::new(Catalog::new(folders.iter().map(|folder| folder.id.clone())));
        let loading =
            LoadModels::start(loader, folders, Arc::clone(&catalog), &health).map_err(RunError::Thread)?;
        let tasks = Tasks::new(shutdown, config.platform.grace_period);
        let rpc = Rpc::new(Arc::clone(&catalog), Arc::<Catalog>::clone(&catalog), health, Metrics::new());
        server.spawn(&tasks, &rpc::SERVICE_NAMES, rpc.routes(config.message_limits()));

        let ended = tasks.join().await;
        // Every call has been answered or given up. A kernel that still ran while the process exits
        // would race the engine's own exit handlers.
        blocking(move || {
            loading.stop();
            catalog.stop();
        })
        .await?;
        Ok(ended?)
    }
}

async fn blocking<T: Send + 'static>(step: impl FnOnce() -> T + Send + 'static) -> Result<T, RunError> {
    spawn_blocking(step).await.map_err(|_| RunError::Panicked)
}
