//! Keeps the stored chain the best one the server can prove.
//!
//! One process follows and writes: the holder of the writer's lock. Others stand by, serve what is stored,
//! and take over when the lock is free.
//!
//! ```text
//!            lock taken                    server's tip is ours, or lighter
//! STANDBY ----------------> FOLLOWING(Starting) ------------------------> FOLLOWING(Synced)
//!    ^   storage failed or      |   ^                                        |    ^
//!    +---- fenced off ----------+   |      fork deeper than allowed          v    | fork within bounds
//!                                   +------------------------------------ HALTED -+
//! ```

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::clock;
use ailayer_platform::health::Component;
use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::Network;
use ailayer_store::{SingleWriter, StoreError};
use thiserror::Error;

use crate::config::Checkpoint;
use crate::domain::block::{BlockRef, ChainEvent, ChainHeader};
use crate::domain::difficulty::Rules;
use crate::domain::header_chain::{HeaderChain, HeaderError};
use crate::ports::{ElectrumSource, SourceError};
use crate::store::ChainStore;
use crate::sync::{SyncReporter, SyncState};
use crate::telemetry::Metrics;

mod base;
mod batches;
mod compare;

use compare::Finding;

/// How long to wait before storage is tried again, and how often a standby looks for a free lock.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Why following, and with it the service, ends.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The server serves another network.
    #[error("{0}")]
    WrongNetwork(SourceError),
    /// The database was made for another network.
    #[error("the database follows {stored}, the configuration says {configured}")]
    ForeignDatabase {
        /// What the database holds.
        stored: String,
        /// What was asked for.
        configured: Network,
    },
    /// The server's block at the checkpoint is another one.
    #[error("the server has no block {expected} at height {height}, where indexer.start_checkpoint puts it")]
    WrongCheckpoint {
        /// The configured height.
        height: u32,
        /// The configured hash.
        expected: bitcoin::BlockHash,
    },
}

/// Why a round ended early.
#[derive(Debug, Error)]
enum RoundError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Fatal(#[from] FollowError),
}

/// What to do after a round.
enum Next {
    Again,
    Wait,
}

/// Readiness the follower reports.
#[derive(Debug)]
pub struct FollowerHealth {
    /// The database answers.
    pub database: Component,
    /// The server answers and what it says verifies.
    pub electrum: Component,
    /// The chain was caught up with, and following is not halted.
    pub synced: Component,
}

/// The task.
pub struct Follower {
    /// The network.
    pub network: Network,
    /// How often the server is asked.
    pub poll_interval: Duration,
    /// Blocks a reorg may disconnect.
    pub max_reorg_depth: u32,
    /// Where an empty database starts.
    pub start_checkpoint: Option<Checkpoint>,
    /// The server, on a connection of its own.
    pub source: Arc<dyn ElectrumSource>,
    /// Where the chain is kept.
    pub store: ChainStore,
    /// Tells the rest of the service.
    pub reporter: SyncReporter,
    /// Tells the operator.
    pub health: FollowerHealth,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

impl Follower {
    /// Follows until the shutdown. Errors of server and storage are waited out; only a mistake in the
    /// configuration ends it.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), FollowError> {
        while !shutdown.is_cancelled() {
            match self.lead_or_stand_by(&shutdown).await {
                Ok(()) => {}
                Err(RoundError::Fatal(error)) => return Err(error),
                Err(RoundError::Source(error @ SourceError::WrongNetwork { .. })) => {
                    return Err(FollowError::WrongNetwork(error));
                }
                Err(error) => self.report(&error),
            }
            self.pause(RETRY_INTERVAL, &shutdown).await;
        }
        Ok(())
    }

    async fn lead_or_stand_by(&self, shutdown: &Shutdown) -> Result<(), RoundError> {
        match self.store.acquire_writer().await? {
            Some(writer) => {
                let outcome = self.lead(&writer, shutdown).await;
                // Frees the lock for a standby at once; where that fails, the session's end frees it.
                drop(writer.release().await);
                outcome
            }
            None => self.stand_by().await,
        }
    }

    /// Rounds until the shutdown or a failure of storage.
    async fn lead(&self, writer: &SingleWriter, shutdown: &Shutdown) -> Result<(), RoundError> {
        self.ensure_base(writer).await?;
        let mut chain = self.load_chain().await?;
        self.health.database.set_ready();
        tracing::info!(height = chain.tip().height, block_hash = %chain.tip().block_hash, "chain loaded");
        while !shutdown.is_cancelled() {
            self.reporter.begin_round();
            let outcome = self.round(writer, &mut chain).await;
            self.reporter.end_round();
            match outcome {
                Ok(Next::Again) => continue,
                Ok(Next::Wait) => {}
                Err(RoundError::Source(error @ SourceError::WrongNetwork { .. })) => return Err(error.into()),
                Err(error @ (RoundError::Source(_) | RoundError::Header(_))) => self.report(&error),
                Err(error) => return Err(error),
            }
            self.pause(self.poll_interval, shutdown).await;
        }
        Ok(())
    }

    async fn round(&self, writer: &SingleWriter, chain: &mut HeaderChain) -> Result<Next, RoundError> {
        let found = compare::compare(chain, &*self.source, self.max_reorg_depth, clock::now_s()).await?;
        match found {
            Finding::CaughtUp => {
                self.health.electrum.set_ready();
                self.set_synced();
                writer.check_session().await?;
                Ok(Next::Wait)
            }
            Finding::Behind { server_height } => {
                self.health
                    .electrum
                    .set_unready(format!("the server is far behind, at height {server_height}"));
                Ok(Next::Wait)
            }
            Finding::TooDeep { server_tip } => {
                self.halt(chain, server_tip);
                Ok(Next::Wait)
            }
            Finding::Steps { events, problem } => {
                self.take_steps(writer, chain, &events).await?;
                match problem {
                    Some(problem) => Err(problem.into()),
                    None => {
                        self.health.electrum.set_ready();
                        Ok(Next::Again)
                    }
                }
            }
        }
    }

    /// Stores steps, a bounded number a transaction, and then believes them.
    async fn take_steps(
        &self,
        writer: &SingleWriter,
        chain: &mut HeaderChain,
        events: &[ChainEvent],
    ) -> Result<(), RoundError> {
        let depth = events.iter().filter(|event| matches!(event, ChainEvent::Disconnected(_))).count();
        if depth > 0 {
            tracing::warn!(depth, tip = %chain.tip().block_hash, height = chain.tip().height, "reorg");
        }
        for batch in batches::split(chain.tip().chain_work, events) {
            self.store.commit(writer, batch).await?;
            chain.apply(batch)?;
            let left = batch.iter().filter(|event| matches!(event, ChainEvent::Disconnected(_))).count();
            let count = |blocks: usize| u64::try_from(blocks).unwrap_or(u64::MAX);
            self.metrics.committed(count(batch.len() - left), count(left), chain.tip().height);
            tracing::debug!(height = chain.tip().height, block_hash = %chain.tip().block_hash, "chain advanced");
        }
        if depth > 0 {
            // What was disconnected is missing below: fetch it, so that the next reorg can be judged as well.
            *chain = self.load_chain().await?;
        }
        Ok(())
    }

    /// One look of a process without the lock: is what is stored what this server says?
    async fn stand_by(&self) -> Result<(), RoundError> {
        self.reporter.begin_round();
        let outcome = self.compare_with_stored().await;
        self.reporter.end_round();
        outcome
    }

    async fn compare_with_stored(&self) -> Result<(), RoundError> {
        let stored = self.store.tip().await?;
        self.health.database.set_ready();
        let server = self.source.tip().await?;
        self.health.electrum.set_ready();
        let at_height = self.store.headers(server.height, 1).await?;
        let known = at_height.first().is_some_and(|ours| ours.header == server.header);
        if stored.is_some() && known {
            self.set_synced();
        }
        Ok(())
    }

    async fn load_chain(&self) -> Result<HeaderChain, RoundError> {
        let rules = Rules::of(self.network);
        let span = HeaderChain::span(&rules, self.max_reorg_depth);
        let headers: Vec<ChainHeader> = self.store.newest_headers(span).await?;
        Ok(HeaderChain::try_new(rules, span, headers)?)
    }

    fn set_synced(&self) {
        if self.reporter.set_state(SyncState::Synced) {
            tracing::info!("caught up with the server");
        }
        self.health.synced.set_ready();
    }

    fn halt(&self, chain: &HeaderChain, server_tip: BlockRef) {
        if self.reporter.set_state(SyncState::Halted) {
            tracing::error!(
                max_reorg_depth = self.max_reorg_depth,
                our_tip = %chain.tip().block_hash, our_height = chain.tip().height,
                server_tip = %server_tip.block_hash, server_height = server_tip.height,
                "following halted: the server's chain forks off deeper than indexer.max_reorg_depth"
            );
        }
        self.health.synced.set_unready("halted: reorg deeper than indexer.max_reorg_depth");
    }

    fn report(&self, error: &RoundError) {
        match error {
            RoundError::Source(error) => {
                self.metrics.source_failed();
                tracing::warn!(%error, "no answer from the server");
                self.health.electrum.set_unready(error.to_string());
            }
            RoundError::Header(error) => {
                self.metrics.refused("header");
                tracing::error!(%error, "header of the server refused");
                self.health.electrum.set_unready(format!("its headers do not verify: {error}"));
            }
            RoundError::Store(error) => {
                tracing::error!(%error, "storage failed");
                self.health.database.set_unready(error.to_string());
            }
            RoundError::Fatal(error) => tracing::error!(%error, "cannot follow"),
        }
    }

    async fn pause(&self, interval: Duration, shutdown: &Shutdown) {
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = self.reporter.poked() => {}
            () = shutdown.cancelled() => {}
        }
    }
}
