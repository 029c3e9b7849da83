//! The `[payment]` table.

use std::path::PathBuf;
use std::time::Duration;

use ailayer_platform::client::ClientConfig;
use ailayer_platform::config::{ConfigError, PlatformConfig, Secret, duration};
use ailayer_primitives::{AmountMsat, Network};
use ailayer_store::StoreConfig;
use bitcoin::secp256k1::PublicKey;
use serde::Deserialize;

/// Configuration of the payment service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The Bitcoin network. `bitcoin` is real money and needs `allow_mainnet`.
    pub network: Network,
    /// Consents to `network = "bitcoin"`.
    #[serde(default)]
    pub allow_mainnet: bool,
    /// The node's folder: channel state, keys, the preimage secret. Losing it loses funds; running two copies of
    /// it does too.
    pub data_dir: PathBuf,
    /// The preimage secret, 64 hex digits; without it, a file in `data_dir` that is made at the first start.
    #[serde(default)]
    pub preimage_secret: Option<Secret<String>>,
    /// Bitcoin Core's RPC host.
    #[serde(default = "default_rpc_host")]
    pub bitcoind_rpc_host: String,
    /// Bitcoin Core's RPC port.
    pub bitcoind_rpc_port: u16,
    /// Bitcoin Core's RPC user.
    pub bitcoind_rpc_user: String,
    /// Bitcoin Core's RPC password.
    pub bitcoind_rpc_password: Secret<String>,
    /// Where Lightning peers may connect, host:port each. Empty: outgoing connections only.
    #[serde(default)]
    pub listen_addresses: Vec<String>,
    /// The name announced to the network, at most 32 bytes. Required, with an address, for announced channels.
    #[serde(default)]
    pub node_alias: Option<String>,

    /// A claim is authorised only while `tip <= deadline - claim_margin_blocks`.
    #[serde(default = "default_claim_margin")]
    pub claim_margin_blocks: u32,
    /// The guard gives money back once `tip >= deadline - guard_margin_blocks`.
    #[serde(default = "default_guard_margin")]
    pub guard_margin_blocks: u32,
    /// How often the guard looks. Far below the time between blocks.
    #[serde(default = "default_guard_interval", with = "duration")]
    pub guard_interval: Duration,
    /// How long the node may take to answer a claim, a fail-back or a look-up of the guard, which then goes on with the
    /// next hold and comes back to this one.
    #[serde(default = "default_node_call_timeout", with = "duration")]
    pub node_call_timeout: Duration,
    /// How long the node must be in sync with nothing to report before a claim past its deadline counts as lost.
    #[serde(default = "default_lost_settle_time", with = "duration")]
    pub lost_settle_time: Duration,
    /// How long money that arrives after a start waits for the node's first sync before it is given back.
    #[serde(default = "default_first_sync_wait", with = "duration")]
    pub first_sync_wait: Duration,
    /// New holds are refused when the chain source has not answered for so long.
    #[serde(default = "default_max_age", with = "duration")]
    pub max_sync_age: Duration,
    /// New holds are refused when the tip has not changed for so long, regtest apart.
    #[serde(default = "default_max_age", with = "duration")]
    pub max_tip_age: Duration,

    /// Unpaid hold invoices at most.
    #[serde(default = "default_max_open_invoices")]
    pub max_open_invoices: u64,
    /// Accepted holds at most. Each takes at least one HTLC slot; a channel has 50 for its peer's payments.
    #[serde(default = "default_max_accepted_holds")]
    pub max_accepted_holds: u64,
    /// Kill switch: false refuses new hold invoices.
    #[serde(default = "default_true")]
    pub holds_enabled: bool,
    /// Kill switch: false refuses claims; the deadline guard then gives the money back.
    #[serde(default = "default_true")]
    pub claims_enabled: bool,

    /// Kill switch: false refuses outgoing payments, and channels that give money to their peer at once.
    #[serde(default = "default_true")]
    pub payouts_enabled: bool,
    /// Refuses payouts while the node's channels do not hold what the rows say, as behind a restore from an older backup. `false` lets
    /// them out nevertheless.
    #[serde(default = "default_true")]
    pub halt_payouts_on_residue: bool,
    /// The audit service, which has every payout in its log before it leaves. Without it none is logged; not with real money.
    #[serde(default)]
    pub audit: Option<ClientConfig>,
    /// The node ids that may be paid, 66 hex digits each; without the key everybody, with an empty list nobody.
    #[serde(default)]
    pub payees: Option<Vec<PublicKey>>,
    /// The most a single outgoing payment may carry, or a new channel give to its peer at once, millisatoshi.
    #[serde(default = "default_max_payment")]
    pub max_payment_msat: AmountMsat,
    /// The most that may leave within an hour, fees included, millisatoshi.
    #[serde(default = "default_max_per_hour")]
    pub max_payments_per_hour_msat: AmountMsat,
    /// The base of the routing fee limit, millisatoshi.
    #[serde(default = "default_fee_base")]
    pub max_fee_base_msat: AmountMsat,
    /// The share of the routing fee limit, parts per million of the amount.
    #[serde(default = "default_fee_ppm")]
    pub max_fee_ppm: u32,

    /// Readers of `WatchEvents` at once; one more is refused with OVERLOADED.
    #[serde(default = "default_max_watchers")]
    pub max_watchers: u32,

    /// The database.
    pub store: StoreConfig,
    /// What every service has.
    #[serde(default)]
    pub platform: PlatformConfig,
}

impl Config {
    /// Refuses what the types cannot: contradictions and consent that is missing.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.network.is_production() && !self.allow_mainnet {
            let why = "real money: set payment.allow_mainnet = true to consent";
            return Err(ConfigError::invalid("payment.network", why));
        }
        if self.network.is_production() && self.payouts_enabled && self.audit.is_none() {
            let why = "payouts of real money are written into the audit log first: name it, or set payment.payouts_enabled = false";
            return Err(ConfigError::invalid("payment.audit", why));
        }
        if self.claim_margin_blocks <= self.guard_margin_blocks {
            let why = "must be larger than payment.guard_margin_blocks, or one height allows both";
            return Err(ConfigError::invalid("payment.claim_margin_blocks", why));
        }
        if self.guard_margin_blocks == 0 {
            let why = "must be at least 1: at the deadline itself the node has acted already";
            return Err(ConfigError::invalid("payment.guard_margin_blocks", why));
        }
        for (key, interval) in [
            ("guard_interval", self.guard_interval),
            ("node_call_timeout", self.node_call_timeout),
            ("lost_settle_time", self.lost_settle_time),
        ] {
            if interval.is_zero() {
                return Err(ConfigError::invalid(format!("payment.{key}"), "must not be zero"));
            }
        }
        if self.max_accepted_holds == 0 || self.max_open_invoices == 0 {
            let why = "must not be zero; set payment.holds_enabled = false to refuse holds";
            return Err(ConfigError::invalid("payment.max_open_invoices", why));
        }
        if self.max_watchers == 0 {
            return Err(ConfigError::invalid("payment.max_watchers", "must be at least 1"));
        }
        self.store.validate("payment.store")
    }

    /// The tip age that closes the gate; none on regtest, where blocks come when asked for.
    pub fn tip_age_limit(&self) -> Option<Duration> {
        (self.network != Network::Regtest).then_some(self.max_tip_age)
    }
}

fn default_rpc_host() -> String {
    "127.0.0.1".to_owned()
}

const fn default_claim_margin() -> u32 {
    2
}

const fn default_guard_margin() -> u32 {
    1
}

const fn default_guard_interval() -> Duration {
    Duration::from_secs(1)
}

const fn default_node_call_timeout() -> Duration {
    Duration::from_secs(10)
}

const fn default_lost_settle_time() -> Duration {
    Duration::from_secs(30)
}

const fn default_first_sync_wait() -> Duration {
    Duration::from_secs(60)
}

const fn default_max_age() -> Duration {
    Duration::from_secs(3600)
}

const fn default_max_open_invoices() -> u64 {
    10_000
}

const fn default_max_accepted_holds() -> u64 {
    400
}

const fn default_true() -> bool {
    true
}

/// 10,000 satoshi.
fn default_max_payment() -> AmountMsat {
    AmountMsat::try_new(10_000_000).unwrap_or(AmountMsat::ZERO)
}

/// 100,000 satoshi.
fn default_max_per_hour() -> AmountMsat {
    AmountMsat::try_new(100_000_000).unwrap_or(AmountMsat::ZERO)
}

/// 50 satoshi: below that, small payments find no route (LDK's own default base).
fn default_fee_base() -> AmountMsat {
    AmountMsat::try_new(50_000).unwrap_or(AmountMsat::ZERO)
}

const fn default_fee_ppm() -> u32 {
    10_000
}

const fn default_max_watchers() -> u32 {
    64
}

#[cfg(test)]
mod tests;
