//! What an operator types.

use std::time::Duration;

use ailayer_platform::config::Secret;
use ailayer_primitives::RequestId;
use clap::Subcommand;

use super::{StatementForm, secret};

/// Where the gateway is, and the operator's key to it.
#[derive(Debug, Clone, clap::Args)]
pub struct OperatorTarget {
    /// The gateway, http://host:port.
    #[arg(long, env = "AILAYER_GATEWAY", global = true, default_value = "")]
    pub gateway: String,
    /// Your operator's key. Prefer the variable: command lines are visible to others.
    #[arg(long, env = "AILAYER_OPERATOR_KEY", hide_env_values = true, value_parser = secret, global = true, default_value = "")]
    pub operator_key: Secret<String>,
}

#[derive(Debug, clap::Args)]
pub struct OperatorArgs {
    #[command(subcommand)]
    pub command: OperatorCommand,
}

#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Make a key: the secret, and what to write into the gateway's configuration. Asks no service.
    New {
        /// Whose key.
        name: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct AccountArgs {
    #[command(subcommand)]
    pub command: AccountCommand,
    #[command(flatten)]
    pub target: OperatorTarget,
}

#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Open an account.
    Open {
        /// What to call it.
        name: String,
        /// How far below zero its balance may go, millisatoshi.
        #[arg(long, default_value_t = 0)]
        credit_msat: u64,
        /// Your idempotency key (a UUID), to repeat an interrupted call; a fresh one otherwise.
        #[arg(long)]
        request_id: Option<RequestId>,
    },
    /// List accounts with their balances.
    List,
    /// Write the movements of an account's balance as a file to standard output.
    Statement {
        /// Which account.
        account: String,
        /// Movements from then on, Unix milliseconds.
        #[arg(long, default_value_t = 0)]
        from_unix_ms: u64,
        /// Movements before then, Unix milliseconds; all without it.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        until_unix_ms: u64,
        /// In which form.
        #[arg(long, value_name = "FORM", default_value = "csv")]
        export: StatementForm,
    },
    /// Freeze an account: nothing can be taken or set aside.
    Freeze {
        /// Which account.
        account: String,
        /// Why.
        #[arg(long)]
        note: String,
    },
    /// Limit what all keys of an account together may do. What is not named has no limit afterwards.
    Limit {
        /// Which account.
        account: String,
        /// The most that may be spent in a window, millisatoshi.
        #[arg(long, requires = "spend_window")]
        spend_limit_msat: Option<u64>,
        /// The window (e.g. 1day).
        #[arg(long, value_parser = humantime::parse_duration, requires = "spend_limit_msat")]
        spend_window: Option<Duration>,
        /// Requests a minute.
        #[arg(long)]
        requests_per_minute: Option<u32>,
        /// Input tokens a minute.
        #[arg(long)]
        tokens_per_minute: Option<u64>,
    },
    /// Undo a freeze.
    Unfreeze {
        /// Which account.
        account: String,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
    #[command(flatten)]
    pub target: OperatorTarget,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key. Its text is shown once and never again.
    New {
        /// Whose key.
        account: String,
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it allows: run, read, fund; repeat for each. All by default.
        #[arg(long = "scope")]
        scopes: Vec<String>,
        /// The most it may spend in a window, millisatoshi.
        #[arg(long, requires = "spend_window")]
        spend_limit_msat: Option<u64>,
        /// The window (e.g. 1day).
        #[arg(long, value_parser = humantime::parse_duration, requires = "spend_limit_msat")]
        spend_window: Option<Duration>,
        /// Requests a minute.
        #[arg(long)]
        requests_per_minute: Option<u32>,
        /// Input tokens a minute.
        #[arg(long)]
        tokens_per_minute: Option<u64>,
        /// When it ends by itself, Unix milliseconds.
        #[arg(long)]
        expires_unix_ms: Option<u64>,
    },
    /// List the keys of an account.
    List {
        /// Which account.
        account: String,
    },
    /// Revoke a key for ever.
    Revoke {
        /// Which key: its id, not its text.
        key: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct PriceArgs {
    #[command(subcommand)]
    pub command: PriceCommand,
    #[command(flatten)]
    pub target: OperatorTarget,
}

#[derive(Debug, Subcommand)]
pub enum PriceCommand {
    /// List the prices in force.
    List,
    /// Set the price of a model.
    Set {
        /// The model's name.
        model: String,
        /// Asked once a job, millisatoshi.
        #[arg(long, default_value_t = 0)]
        per_call_msat: u64,
        /// Asked for each input token, millisatoshi.
        #[arg(long, default_value_t = 0)]
        per_token_msat: u64,
        /// Asked for each byte of the input tensors' contents, millisatoshi.
        #[arg(long, default_value_t = 0)]
        per_tensor_byte_msat: u64,
    },
    /// Forget a price that was set: the configuration's counts again.
    Remove {
        /// The model's name.
        model: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct BrakeArgs {
    #[command(subcommand)]
    pub command: BrakeCommand,
    #[command(flatten)]
    pub target: OperatorTarget,
}

#[derive(Debug, Subcommand)]
pub enum BrakeCommand {
    /// Show the brakes.
    List,
    /// Stop something: new_jobs or claims.
    On {
        /// What.
        brake: String,
        /// Why.
        #[arg(long)]
        note: String,
    },
    /// Let it go on.
    Off {
        /// What.
        brake: String,
        /// Why.
        #[arg(long, default_value = "")]
        note: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct AdjustArgs {
    #[command(subcommand)]
    pub command: AdjustCommand,
    #[command(flatten)]
    pub target: OperatorTarget,
}

/// What every proposal says.
#[derive(Debug, clap::Args)]
pub struct Proposal {
    /// Why; of a loss also which channel.
    #[arg(long)]
    pub note: String,
    /// Your idempotency key (a UUID), to repeat an interrupted call; a fresh one otherwise.
    #[arg(long)]
    pub request_id: Option<RequestId>,
}

#[derive(Debug, Subcommand)]
pub enum AdjustCommand {
    /// Propose a correction. Nothing moves before another operator approves it.
    Propose {
        /// Which account.
        account: String,
        /// By how much its balance changes, millisatoshi; negative takes.
        #[arg(allow_negative_numbers = true)]
        amount_msat: i64,
        #[command(flatten)]
        proposal: Proposal,
    },
    /// Propose to book what was lost with a channel: taken before, and gone with its close. No customer's balance moves, and no job
    /// changes. Nothing is booked before another operator approves it.
    ProposeLoss {
        /// How much was lost, millisatoshi; negative came back.
        #[arg(allow_negative_numbers = true)]
        amount_msat: i64,
        #[command(flatten)]
        proposal: Proposal,
    },
    /// Approve and apply a correction that another operator has proposed.
    Approve {
        /// Which one.
        adjustment: String,
    },
    /// List corrections, the newest first.
    List,
}

#[derive(Debug, clap::Args)]
pub struct SuspenseArgs {
    #[command(subcommand)]
    pub command: SuspenseCommand,
    #[command(flatten)]
    pub target: OperatorTarget,
}

#[derive(Debug, Subcommand)]
pub enum SuspenseCommand {
    /// List what waits.
    List {
        /// Also what was resolved.
        #[arg(long)]
        all: bool,
    },
    /// Give an item to an account.
    Give {
        /// Which item.
        item: String,
        /// To whom.
        account: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct ReconcileArgs {
    #[command(flatten)]
    pub target: OperatorTarget,
    /// First say that so many payments without a row have been found out about, those explained before included: they are
    /// no finding any more.
    #[arg(long, value_name = "COUNT", requires = "note", group = "explained")]
    pub explain_payments: Option<u64>,
    /// First accept what the node's channels hold more than is expected, or less if negative: exactly the residue that was found.
    /// It counts as explained from then on, channels without a row are taken in, and what was expected between two bounds is one amount.
    #[arg(long, value_name = "MSAT", requires = "note", group = "explained", allow_negative_numbers = true)]
    pub accept_node_residue: Option<i64>,
    /// What it was: nothing is explained without.
    #[arg(long, requires = "explained")]
    pub note: Option<String>,
}
