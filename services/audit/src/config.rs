//! The table `[audit]`.

use std::path::PathBuf;
use std::time::Duration;

use ailayer_platform::client::ClientConfig;
use ailayer_platform::config::{ConfigError, PlatformConfig, Secret, duration};
use ailayer_primitives::Network;
use ailayer_store::StoreConfig;
use serde::Deserialize;

use crate::domain::anchor::AnchorPolicy;
use crate::{NAME, log_key};

/// Most confirmations an anchor may be asked to have: their headers are stored with it.
const MAX_ANCHOR_CONFIRMATIONS: u32 = 1_000;
/// Most entries of one transaction.
const MAX_BATCH_ENTRIES: usize = 10_000;

/// Everything the audit service can be told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The Bitcoin network that anchors go to.
    pub network: Network,
    /// Consent to anchor on the production network, where it costs real money.
    #[serde(default)]
    pub allow_mainnet: bool,
    /// The log's name: first line of every checkpoint and name of its key, e.g. `ailayer.example/log`. It can never
    /// be changed once the log has started.
    pub origin: String,
    /// Folder of the log's key and the wallet's seed words. Back it up: neither can be made again.
    pub data_dir: PathBuf,
    /// The log's signer key (`PRIVATE+KEY+…`) instead of a file in the data folder.
    #[serde(default)]
    pub log_key: Option<Secret<String>>,
    /// The database.
    pub store: StoreConfig,
    /// The indexer service.
    pub indexer: ClientConfig,
    /// Time between checkpoints while entries arrive.
    #[serde(default = "defaults::checkpoint_interval", with = "duration")]
    pub checkpoint_interval: Duration,
    /// Least time between two anchors: each costs a transaction fee.
    #[serde(default = "defaults::anchor_interval", with = "duration")]
    pub anchor_interval: Duration,
    /// Confirmations that make an anchor final, counting its own block.
    #[serde(default = "defaults::anchor_confirmations")]
    pub anchor_confirmations: u32,
    /// Blocks an anchor may wait unconfirmed before its fee is raised.
    #[serde(default = "defaults::bump_after_blocks")]
    pub bump_after_blocks: u32,
    /// The highest fee rate paid for an anchor, satoshi a virtual byte; above it anchors wait or confirm later.
    #[serde(default = "defaults::max_fee_rate_sat_per_vb")]
    pub max_fee_rate_sat_per_vb: u64,
    /// Time between looks at the chain.
    #[serde(default = "defaults::chain_poll_interval", with = "duration")]
    pub chain_poll_interval: Duration,
    /// Most entries of one group commit.
    #[serde(default = "defaults::max_batch_entries")]
    pub max_batch_entries: usize,
    /// Most appends waiting for the sequencer; more are refused with OVERLOADED.
    #[serde(default = "defaults::queue_capacity")]
    pub queue_capacity: usize,
    /// Most bytes of entries waiting for the sequencer; more are refused with OVERLOADED.
    #[serde(default = "defaults::max_queued_bytes")]
    pub max_queued_bytes: u32,
    /// What is verified before the service starts.
    #[serde(default)]
    pub start_check: StartCheck,
    /// Server, admin port, telemetry, grace period.
    #[serde(default)]
    pub platform: PlatformConfig,
}

/// How much of the stored log is verified at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartCheck {
    /// Every byte: entries, nodes, checkpoints and anchors. Takes about a second for 100,000 entries in a release build.
    #[default]
    Full,
    /// The tree's right edge and the newest checkpoint only: for logs too large to read at every start.
    Roots,
}

mod defaults {
    use std::time::Duration;

    pub(super) const fn checkpoint_interval() -> Duration {
        Duration::from_secs(1)
    }
    pub(super) const fn anchor_interval() -> Duration {
        Duration::from_mins(10)
    }
    pub(super) const fn anchor_confirmations() -> u32 {
        6
    }
    pub(super) const fn bump_after_blocks() -> u32 {
        6
    }
    pub(super) const fn max_fee_rate_sat_per_vb() -> u64 {
        50
    }
    pub(super) const fn chain_poll_interval() -> Duration {
        Duration::from_secs(2)
    }
    /// Larger batches gain nothing measurable and make the answer of the first entry wait longer.
    pub(super) const fn max_batch_entries() -> usize {
        256
    }
    pub(super) const fn queue_capacity() -> usize {
        4096
    }
    pub(super) const fn max_queued_bytes() -> u32 {
        64 * 1024 * 1024
    }
}

impl Config {
    /// Refuses values that cannot work, with the key that is wrong.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn validate(&self) -> Result<(), ConfigError> {
        let invalid = |key: &str, reason: &str| Err(ConfigError::invalid(format!("{NAME}.{key}"), reason));
        if self.network.is_production() && !self.allow_mainnet {
            return invalid(
                "network",
                "is bitcoin, where anchors cost real money: set audit.allow_mainnet = true",
            );
        }
        if ailayer_tlog::note::Signer::try_new(&self.origin, &[1; 32]).is_err() {
            return invalid(
                "origin",
                "must be 1 to 255 bytes without spaces, plus signs and control characters",
            );
        }
        if let Some(key) = &self.log_key
            && let Err(reason) = log_key::parse(key.expose(), &self.origin)
        {
            return invalid("log_key", &reason);
        }
        self.store.validate(&format!("{NAME}.store"))?;
        let intervals = [
            ("checkpoint_interval", self.checkpoint_interval),
            ("anchor_interval", self.anchor_interval),
            ("chain_poll_interval", self.chain_poll_interval),
        ];
        for (key, interval) in intervals {
            if interval < Duration::from_millis(10) {
                return invalid(key, "must be at least 10ms");
            }
        }
        if !(1..=MAX_ANCHOR_CONFIRMATIONS).contains(&self.anchor_confirmations) {
            return invalid("anchor_confirmations", "must be 1 to 1000");
        }
        if self.bump_after_blocks == 0 {
            return invalid("bump_after_blocks", "must be at least 1");
        }
        if !(1..=10_000).contains(&self.max_fee_rate_sat_per_vb) {
            return invalid("max_fee_rate_sat_per_vb", "must be 1 to 10000");
        }
        if !(1..=MAX_BATCH_ENTRIES).contains(&self.max_batch_entries) {
            return invalid("max_batch_entries", "must be 1 to 10000");
        }
        if self.queue_capacity == 0 {
            return invalid("queue_capacity", "must be at least 1");
        }
        if self.max_queued_bytes < 65_535 {
            return invalid("max_queued_bytes", "must hold at least one entry of 65535 bytes");
        }
        self.platform.validate(NAME)
    }

    /// What anchor decisions depend on.
    pub(crate) const fn anchor_policy(&self) -> AnchorPolicy {
        AnchorPolicy { confirmations: self.anchor_confirmations, bump_after_blocks: self.bump_after_blocks }
    }
}

#[cfg(test)]
mod tests;
