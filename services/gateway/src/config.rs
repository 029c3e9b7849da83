//! `[gateway]`: every knob with its unit, default and reason.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use ailayer_client::ClientConfig;
use ailayer_platform::config::{ConfigError, PlatformConfig, Secret, duration};
use ailayer_primitives::{AmountMsat, Digest, Network};
use ailayer_store::StoreConfig;
use ailayer_tlog::note::Verifier;
use serde::Deserialize;

use crate::admission::AdmissionLimits;
use crate::domain::api_key::is_name;
use crate::domain::job::Rules;
use crate::domain::order::OrderLimits;
use crate::domain::price::Price;
use crate::operators::Operators;
use crate::quotes::QuoteSettings;

/// The longest expiry the payment service takes.
const MAX_QUOTE_EXPIRY: Duration = Duration::from_secs(86_400);

/// The gateway's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network money moves on.
    pub network: Network,
    /// Consent to real money; required where `network` is `bitcoin`.
    #[serde(default)]
    pub allow_mainnet: bool,
    /// The folder of the secret file. Needed unless `secret` is set.
    #[serde(default)]
    pub data_dir: Option<PathBuf>,
    /// The master secret, 64 hexadecimal digits, in place of the file. The same for all replicas.
    #[serde(default)]
    pub secret: Option<Secret<String>>,
    /// The database.
    pub store: StoreConfig,
    /// The payment service.
    pub payment: ClientConfig,
    /// Model serving.
    pub serving: ClientConfig,
    /// The audit service.
    pub audit: ClientConfig,
    /// The audit log's verification key in signed-note form. Without it the key the service names first is believed
    /// while the process lives.
    #[serde(default)]
    pub audit_log_key: Option<String>,
    /// What is for sale.
    pub prices: Vec<ModelPrice>,
    /// How long a quote may be paid.
    #[serde(default = "default_quote_expiry", with = "duration")]
    pub quote_expiry: Duration,
    /// How long an answer may take from the moment money is locked. Payers lock blocks, and some leave only three.
    #[serde(default = "default_run_limit", with = "duration")]
    pub run_limit: Duration,
    /// How long a replica may be silent before another takes its jobs over; also the longest wait after a crash.
    #[serde(default = "default_lease", with = "duration")]
    pub lease: Duration,
    /// How long the audit log may take before the money goes back.
    #[serde(default = "default_append_timeout", with = "duration")]
    pub append_timeout: Duration,
    /// How long a buyer may take to acknowledge a sealed answer, from the moment it can be fetched, before the money goes back.
    /// Blocks come meanwhile, and payers lock few.
    #[serde(default = "default_acknowledge_timeout", with = "duration")]
    pub acknowledge_timeout: Duration,
    /// How long after a job's end its input and answer are kept.
    #[serde(default = "default_result_retention", with = "duration")]
    pub result_retention: Duration,
    /// Blocks that must be left before the claim deadline when a claim is authorised.
    #[serde(default = "default_claim_margin_blocks")]
    pub claim_margin_blocks: u32,
    /// Quotes that may wait for their payers at once.
    #[serde(default = "default_max_open_quotes")]
    pub max_open_quotes: u32,
    /// Quotes of one payer that may wait for their payment at once. Payers are told apart by network address.
    #[serde(default = "default_max_open_quotes_of_payer")]
    pub max_open_quotes_of_payer: u32,
    /// Jobs of one payer whose money may be locked at once.
    #[serde(default = "default_max_holds_of_payer")]
    pub max_holds_of_payer: u32,
    /// Jobs on the hold rail that may have money locked and no answer yet; beyond them no quotes are made.
    #[serde(default = "default_max_waiting_holds")]
    pub max_waiting_holds: u32,
    /// Behind a proxy: the header in which it names the caller's address (the last one counts). Without it the connection's counts.
    #[serde(default)]
    pub payer_header: Option<String>,
    /// Jobs that wait for a model at once on this replica. Those whose money moves have slots of their own.
    #[serde(default = "default_max_running_jobs")]
    pub max_running_jobs: u32,
    /// Open streams on this replica at once: jobs that are watched, and statements as files. Jobs and accounts have shares of them.
    #[serde(default = "default_max_watchers")]
    pub max_watchers: u32,
    /// Texts in one job.
    #[serde(default = "default_max_items")]
    pub max_items: u32,
    /// Bytes of one text.
    #[serde(default = "default_max_text_bytes")]
    pub max_text_bytes: u32,
    /// Bytes of all texts of a job together.
    #[serde(default = "default_max_input_bytes")]
    pub max_input_bytes: u32,
    /// Bytes of an answer's numbers or tensors at most: a larger one fails its job, which costs nothing.
    #[serde(default = "default_max_output_bytes")]
    pub max_output_bytes: u32,
    /// Who may make the calls of `AdminService`; nobody without one.
    #[serde(default)]
    pub operators: Vec<OperatorKey>,
    /// Server, admin port, telemetry.
    #[serde(default)]
    pub platform: PlatformConfig,
}

/// `[[gateway.operators]]`: who operates this gateway. `ailayer operator new NAME` makes both.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorKey {
    /// Who it is; in the log and beside what was done.
    pub name: String,
    /// SHA-256 of the key's text, 64 hexadecimal digits.
    pub key_sha256: String,
}

/// `[[gateway.prices]]`: the price of one model. A model without one is not for sale.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelPrice {
    /// The model's name.
    pub model: String,
    /// Asked once a job, millisatoshi.
    #[serde(default)]
    pub per_call_msat: u64,
    /// Asked for each input token, millisatoshi.
    #[serde(default)]
    pub per_token_msat: u64,
    /// Asked for each byte of the input tensors' contents, millisatoshi.
    #[serde(default)]
    pub per_tensor_byte_msat: u64,
}

const fn default_quote_expiry() -> Duration {
    Duration::from_secs(600)
}

const fn default_run_limit() -> Duration {
    Duration::from_secs(60)
}

const fn default_lease() -> Duration {
    Duration::from_secs(10)
}

const fn default_append_timeout() -> Duration {
    Duration::from_secs(15)
}

const fn default_acknowledge_timeout() -> Duration {
    Duration::from_secs(30)
}

const fn default_result_retention() -> Duration {
    Duration::from_secs(24 * 3600)
}

const fn default_claim_margin_blocks() -> u32 {
    2
}

const fn default_max_open_quotes() -> u32 {
    1000
}

const fn default_max_open_quotes_of_payer() -> u32 {
    50
}

const fn default_max_holds_of_payer() -> u32 {
    20
}

const fn default_max_waiting_holds() -> u32 {
    256
}

const fn default_max_running_jobs() -> u32 {
    64
}

const fn default_max_watchers() -> u32 {
    256
}

const fn default_max_items() -> u32 {
    64
}

const fn default_max_text_bytes() -> u32 {
    64 * 1024
}

const fn default_max_output_bytes() -> u32 {
    8 << 20
}

const fn default_max_input_bytes() -> u32 {
    1024 * 1024
}

impl Config {
    /// Refuses values that cannot work, with one clear line.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.platform.validate("gateway")?;
        self.store.validate("gateway.store")?;
        let invalid = |key: &str, why: &str| Err(ConfigError::invalid(format!("gateway.{key}"), why));
        if self.network.is_production() && !self.allow_mainnet {
            return invalid(
                "network",
                "is `bitcoin`, real money: set gateway.allow_mainnet = true to consent",
            );
        }
        if self.data_dir.is_none() && self.secret.is_none() {
            return invalid("data_dir", "must be set, unless gateway.secret is");
        }
        self.validate_times()?;
        for (key, limit) in [
            ("max_open_quotes", self.max_open_quotes),
            ("max_open_quotes_of_payer", self.max_open_quotes_of_payer),
            ("max_holds_of_payer", self.max_holds_of_payer),
            ("max_waiting_holds", self.max_waiting_holds),
            ("max_running_jobs", self.max_running_jobs),
            ("max_watchers", self.max_watchers),
            ("max_items", self.max_items),
            ("max_text_bytes", self.max_text_bytes),
            ("max_input_bytes", self.max_input_bytes),
            ("max_output_bytes", self.max_output_bytes),
        ] {
            if limit == 0 {
                return invalid(key, "must be at least 1");
            }
        }
        if self.claim_margin_blocks == 0 || self.claim_margin_blocks > 100 {
            return invalid("claim_margin_blocks", "must be 1 to 100");
        }
        if let Some(header) = &self.payer_header
            && !is_header(header)
        {
            return invalid("payer_header", "must be a header's name in small letters, as `x-forwarded-for`");
        }
        self.log_key()?;
        self.operators()?;
        self.prices_by_model().map(drop)
    }

    fn validate_times(&self) -> Result<(), ConfigError> {
        let invalid = |key: &str, why: &str| Err(ConfigError::invalid(format!("gateway.{key}"), why));
        let whole_seconds = self.quote_expiry.subsec_nanos() == 0 && !self.quote_expiry.is_zero();
        if !whole_seconds || self.quote_expiry > MAX_QUOTE_EXPIRY {
            return invalid("quote_expiry", "must be whole seconds from 1s to 1day");
        }
        if self.run_limit < Duration::from_millis(100) || self.run_limit > Duration::from_secs(600) {
            // More would outlast the blocks that payers lock.
            return invalid("run_limit", "must be 100ms to 10m");
        }
        if self.lease < Duration::from_millis(100) {
            return invalid("lease", "must be at least 100ms");
        }
        if self.append_timeout < Duration::from_millis(100) || self.append_timeout > Duration::from_secs(600)
        {
            return invalid("append_timeout", "must be 100ms to 10m");
        }
        if self.acknowledge_timeout < Duration::from_secs(1)
            || self.acknowledge_timeout > Duration::from_secs(600)
        {
            return invalid("acknowledge_timeout", "must be 1s to 10m");
        }
        if self.result_retention.is_zero() {
            return invalid("result_retention", "must be longer than zero");
        }
        Ok(())
    }

    /// The pinned key of the audit log.
    pub fn log_key(&self) -> Result<Option<Verifier>, ConfigError> {
        let parse = |key: &String| {
            Verifier::parse(key)
                .map_err(|error| ConfigError::invalid("gateway.audit_log_key", error.to_string()))
        };
        self.audit_log_key.as_ref().map(parse).transpose()
    }

    /// Who operates this gateway.
    pub fn operators(&self) -> Result<Operators, ConfigError> {
        let mut operators: Vec<(String, Digest)> = Vec::with_capacity(self.operators.len());
        for (index, OperatorKey { name, key_sha256 }) in self.operators.iter().enumerate() {
            let invalid =
                |key: &str, why: &str| ConfigError::invalid(format!("gateway.operators[{index}].{key}"), why);
            if !is_name(name) {
                return Err(invalid("name", "must be 1 to 128 bytes without control characters"));
            }
            let key_hash: Digest =
                key_sha256.parse().map_err(|_| invalid("key_sha256", "is not 64 hexadecimal digits"))?;
            if operators.iter().any(|(other, hash)| other == name || *hash == key_hash) {
                return Err(invalid("name", "an operator is listed twice"));
            }
            operators.push((name.clone(), key_hash));
        }
        Ok(Operators::new(operators))
    }

    /// The limits of the state machine.
    pub fn rules(&self) -> Rules {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Rules {
            run_limit_ms: ms(self.run_limit),
            append_timeout_ms: ms(self.append_timeout),
            acknowledge_timeout_ms: ms(self.acknowledge_timeout),
            claim_margin_blocks: self.claim_margin_blocks,
        }
    }

    /// What quotes are made by.
    pub fn quote_settings(&self) -> Result<QuoteSettings, ConfigError> {
        Ok(QuoteSettings {
            network: self.network,
            prices: self.prices_by_model()?,
            expiry: self.quote_expiry,
            limits: OrderLimits {
                max_items: self.max_items,
                max_text_bytes: self.max_text_bytes,
                max_input_bytes: self.max_input_bytes,
                max_output_bytes: self.max_output_bytes,
            },
        })
    }

    /// How much may be under way at once.
    pub const fn admission_limits(&self) -> AdmissionLimits {
        AdmissionLimits {
            max_open: self.max_open_quotes,
            max_open_of_payer: self.max_open_quotes_of_payer,
            max_holds_of_payer: self.max_holds_of_payer,
            max_waiting: self.max_waiting_holds,
        }
    }

    fn prices_by_model(&self) -> Result<HashMap<String, Price>, ConfigError> {
        let mut prices = HashMap::new();
        for price in &self.prices {
            let invalid =
                |why: String| ConfigError::invalid("gateway.prices", format!("{}: {why}", price.model));
            let amount = |msat| AmountMsat::try_new(msat).map_err(|error| invalid(error.to_string()));
            let in_force = Price {
                per_call: amount(price.per_call_msat)?,
                per_token: amount(price.per_token_msat)?,
                per_tensor_byte: amount(price.per_tensor_byte_msat)?,
            };
            if in_force.is_zero() {
                return Err(invalid("a price of zero cannot be invoiced".to_owned()));
            }
            if prices.insert(price.model.clone(), in_force).is_some() {
                return Err(invalid("has two prices".to_owned()));
            }
        }
        if prices.is_empty() {
            return Err(ConfigError::invalid(
                "gateway.prices",
                "nothing is for sale: name at least one model",
            ));
        }
        Ok(prices)
    }
}

/// A name that gRPC metadata can have: in small letters, and no binary one.
fn is_header(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    !name.is_empty() && name.chars().all(allowed) && !name.ends_with("-bin")
}

#[cfg(test)]
mod tests;
