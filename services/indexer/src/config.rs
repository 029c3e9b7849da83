//! The table `indexer` of the configuration.

use std::time::Duration;

use ailayer_platform::config::{ConfigError, PlatformConfig};
use ailayer_primitives::Network;
use ailayer_store::StoreConfig;
use bitcoin::BlockHash;
use serde::Deserialize;

use crate::adapters::electrum_client::Endpoint;
use crate::domain::block::BlockRef;

/// Blocks of a difficulty period on every network.
const DIFFICULTY_PERIOD: u32 = 2016;
/// A deeper reorg than this does not fit into one answer of an Electrum server together with a longer branch.
const MAX_REORG_DEPTH_LIMIT: u32 = 1_900;

/// What the indexer follows and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network. The server and the database must belong to it.
    pub network: Network,
    /// `tcp://host:port` or `ssl://host:port` of an Electrum server, protocol 1.4 to 1.6.
    pub electrum_url: String,
    /// The database.
    pub store: StoreConfig,
    /// How often the server is asked for its tip.
    #[serde(default = "default_poll_interval", with = "ailayer_platform::config::duration")]
    pub poll_interval: Duration,
    /// The longest a call to the server may take.
    #[serde(default = "default_request_timeout", with = "ailayer_platform::config::duration")]
    pub request_timeout: Duration,
    /// Blocks a reorg may disconnect; a deeper one halts following until the operator raises this.
    #[serde(default = "default_max_reorg_depth")]
    pub max_reorg_depth: u32,
    /// Readers of `WatchBlocks` at once; one more is refused with OVERLOADED.
    #[serde(default = "default_max_watchers")]
    pub max_watchers: u32,
    /// Where an empty database starts instead of at genesis. Believed without a check, so take it from a
    /// node of your own. Blocks below are not served.
    pub start_checkpoint: Option<Checkpoint>,
    /// Server, admin port, telemetry.
    #[serde(default)]
    pub platform: PlatformConfig,
}

/// A block known to be on the best chain.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Its height, a multiple of 2016 so that the next difficulty can be computed.
    pub height: u32,
    /// Its hash, in the usual reversed hex.
    pub hash: BlockHash,
}

impl Checkpoint {
    /// The block it names.
    pub const fn block_ref(&self) -> BlockRef {
        BlockRef { block_hash: self.hash, height: self.height }
    }
}

const fn default_poll_interval() -> Duration {
    Duration::from_millis(500)
}

const fn default_request_timeout() -> Duration {
    Duration::from_secs(10)
}

const fn default_max_reorg_depth() -> u32 {
    100
}

const fn default_max_watchers() -> u32 {
    64
}

impl Config {
    /// Refuses values that cannot work, naming the key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.endpoint()?;
        self.store.validate("indexer.store")?;
        self.platform.validate("indexer")?;
        let at_least = |key: &str, value: Duration, least_ms: u64| {
            if value >= Duration::from_millis(least_ms) {
                return Ok(());
            }
            Err(ConfigError::invalid(key, format!("must be at least {least_ms}ms")))
        };
        at_least("indexer.poll_interval", self.poll_interval, 10)?;
        at_least("indexer.request_timeout", self.request_timeout, 100)?;
        if !(1..=MAX_REORG_DEPTH_LIMIT).contains(&self.max_reorg_depth) {
            let range = format!("must lie between 1 and {MAX_REORG_DEPTH_LIMIT}");
            return Err(ConfigError::invalid("indexer.max_reorg_depth", range));
        }
        if self.max_watchers == 0 {
            return Err(ConfigError::invalid("indexer.max_watchers", "must be at least 1"));
        }
        if self.start_checkpoint.is_some_and(|checkpoint| checkpoint.height % DIFFICULTY_PERIOD != 0) {
            let reason = "must be a multiple of 2016, where a difficulty period begins";
            return Err(ConfigError::invalid("indexer.start_checkpoint.height", reason));
        }
        Ok(())
    }

    /// The parsed `electrum_url`.
    pub fn endpoint(&self) -> Result<Endpoint, ConfigError> {
        self.electrum_url
            .parse()
            .map_err(|error| ConfigError::invalid("indexer.electrum_url", format!("{error}")))
    }
}

#[cfg(test)]
mod tests;
