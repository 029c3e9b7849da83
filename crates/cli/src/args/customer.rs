//! What a customer with a key types.

use std::path::PathBuf;
use std::time::Duration;

use ailayer_platform::config::Secret;
use ailayer_primitives::RequestId;

use super::secret;

/// Where the gateway is, and the key to it.
#[derive(Debug, Clone, clap::Args)]
pub struct CustomerTarget {
    /// The gateway, http://host:port.
    #[arg(long, env = "AILAYER_GATEWAY")]
    pub gateway: String,
    /// Your API key. Prefer the variable: command lines are visible to others.
    #[arg(long, env = "AILAYER_API_KEY", hide_env_values = true, value_parser = secret)]
    pub api_key: Secret<String>,
}

#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Texts to embed.
    #[arg(required_unless_present = "tensors")]
    pub texts: Vec<String>,
    /// Tensors for a tensor model in place of texts: a JSON file as the Open Inference Protocol has it,
    /// {"inputs": [{"name", "datatype", "shape", "data"}]}.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["texts", "truncate"], requires = "model")]
    pub tensors: Option<PathBuf>,
    #[command(flatten)]
    pub target: CustomerTarget,
    /// The model.
    #[arg(long, default_value = "all-minilm-l6-v2")]
    pub model: String,
    /// The most the job may cost, millisatoshi; no limit but the balance by default.
    #[arg(long, default_value_t = 0)]
    pub max_price_msat: u64,
    /// Cut texts that are longer than the model reads, instead of refusing them.
    #[arg(long)]
    pub truncate: bool,
    /// Your idempotency key (a UUID), to repeat an interrupted job; a fresh one otherwise.
    #[arg(long)]
    pub request_id: Option<RequestId>,
}

#[derive(Debug, clap::Args)]
pub struct BalanceArgs {
    #[command(flatten)]
    pub target: CustomerTarget,
}

#[derive(Debug, clap::Args)]
pub struct StatementArgs {
    #[command(flatten)]
    pub target: CustomerTarget,
    /// Movements from then on, Unix milliseconds.
    #[arg(long, default_value_t = 0)]
    pub from_unix_ms: u64,
    /// Write a file to standard output instead of a table, in this form; of any length.
    #[arg(long, value_name = "FORM")]
    pub export: Option<StatementForm>,
    /// Movements before then, Unix milliseconds; with --export.
    #[arg(long, requires = "export", default_value_t = 0, hide_default_value = true)]
    pub until_unix_ms: u64,
}

/// How a statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StatementForm {
    /// RFC 4180, with a head.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

#[derive(Debug, clap::Args)]
pub struct DepositArgs {
    /// How much, millisatoshi.
    pub amount_msat: u64,
    #[command(flatten)]
    pub target: CustomerTarget,
    /// Wait until the money has come, at most this long (e.g. 10m).
    #[arg(long, value_parser = humantime::parse_duration)]
    pub wait: Option<Duration>,
    /// Your idempotency key (a UUID), to repeat an interrupted call; a fresh one otherwise.
    #[arg(long)]
    pub request_id: Option<RequestId>,
}
