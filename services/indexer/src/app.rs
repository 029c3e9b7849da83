//! Puts the service together.

use std::net::SocketAddr;
use std::sync::Arc;

use ailayer_platform::health::Health;
use ailayer_platform::server::Server;
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_proto::ailayer::indexer::v1::indexer_service_server::{IndexerServiceServer, SERVICE_NAME};
use tokio::sync::Semaphore;
use tonic::service::Routes;

use crate::adapters::electrum_client::{ElectrumClient, ElectrumOptions};
use crate::config::Config;
use crate::error::RunError;
use crate::ports::{ElectrumSource, SourceError};
use crate::rpc::IndexerRpc;
use crate::store::ChainStore;
use crate::sync;
use crate::tasks::follow_chain::{Follower, FollowerHealth};
use crate::telemetry::Metrics;
use crate::verifier::Verifier;

/// Connections that serve calls, beside the follower's own.
const QUERY_CONNECTIONS: usize = 4;

/// The server as the two halves of the service see it. A slow lookup must not hold up the follower.
#[derive(Clone)]
pub struct Sources {
    /// For the follower.
    pub follow: Arc<dyn ElectrumSource>,
    /// For calls.
    pub query: Arc<dyn ElectrumSource>,
}

impl Sources {
    /// Connections to the configured server. Nothing is connected yet.
    pub fn electrum(config: &Config) -> Result<Self, RunError> {
        let genesis = bitcoin::constants::genesis_block(bitcoin::Network::from(config.network));
        let options = |connections| -> Result<ElectrumOptions, RunError> {
            Ok(ElectrumOptions {
                endpoint: config.endpoint()?,
                genesis_hash: genesis.block_hash(),
                request_timeout: config.request_timeout,
                connections,
            })
        };
        Ok(Self {
            follow: Arc::new(ElectrumClient::start(&options(1)?)?),
            query: Arc::new(ElectrumClient::start(&options(QUERY_CONNECTIONS)?)?),
        })
    }
}

/// A started service.
pub struct Running {
    grpc_address: SocketAddr,
    tasks: Tasks,
}

impl Running {
    /// Where gRPC answers.
    pub const fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Waits until the service was stopped, or stopped itself.
    pub async fn join(self) -> Result<(), RunError> {
        Ok(self.tasks.join().await?)
    }
}

/// Runs until the shutdown.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), RunError> {
    config.validate()?;
    let sources = Sources::electrum(&config)?;
    start(config, sources, shutdown).await?.join().await
}

/// Starts with given sources.
///
/// A server of another network stops the start; one that does not answer does not: it may come later, and
/// what is stored is served meanwhile.
pub async fn start(config: Config, sources: Sources, shutdown: Shutdown) -> Result<Running, RunError> {
    config.validate()?;
    match sources.follow.check().await {
        Ok(()) => {}
        Err(error @ SourceError::WrongNetwork { .. }) => return Err(RunError::Source(error)),
        Err(error) => tracing::warn!(%error, "starting without the electrum server"),
    }
    let health = Health::new();
    let follower_health = FollowerHealth {
        database: health.component("database"),
        electrum: health.component("electrum"),
        synced: health.component("synced"),
    };
    let store = ChainStore::connect(&config.store).await?;
    let server = Server::bind(crate::NAME, &config.platform, health).await?;
    let grpc_address = server.grpc_address();
    let (reporter, monitor) = sync::channel();
    let metrics = Arc::new(Metrics::new());
    let tasks = Tasks::new(shutdown.clone(), config.platform.grace_period);

    let follower = Follower {
        network: config.network,
        poll_interval: config.poll_interval,
        max_reorg_depth: config.max_reorg_depth,
        start_checkpoint: config.start_checkpoint,
        source: sources.follow,
        store: store.clone(),
        reporter,
        health: follower_health,
        metrics: Arc::clone(&metrics),
    };
    tasks.spawn_critical("follow_chain", follower.run(shutdown.clone()));

    let query = sources.query;
    let verifier = Verifier::new(Arc::clone(&query), store.clone(), monitor.clone(), metrics);
    let watchers = usize::try_from(config.max_watchers).unwrap_or(Semaphore::MAX_PERMITS);
    let rpc = IndexerRpc {
        network: config.network,
        store,
        sync: monitor,
        source: query,
        verifier,
        watchers: Arc::new(Semaphore::new(watchers)),
        shutdown,
    };
    let service = IndexerServiceServer::new(rpc)
        .max_decoding_message_size(config.platform.server.max_message_bytes)
        .max_encoding_message_size(config.platform.server.max_message_bytes);
    server.spawn(&tasks, &[SERVICE_NAME], Routes::new(service));
    Ok(Running { grpc_address, tasks })
}
