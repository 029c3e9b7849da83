//! The command line.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use ailayer_platform::config::Secret;
use ailayer_primitives::{Digest, Network, RequestId};
use clap::{Parser, Subcommand, ValueEnum};

mod customer;
mod operator;

pub use customer::{BalanceArgs, CustomerTarget, DepositArgs, RunArgs, StatementArgs, StatementForm};
pub use operator::{
    AccountArgs, AccountCommand, AdjustArgs, AdjustCommand, BrakeArgs, BrakeCommand, KeyArgs, KeyCommand,
    OperatorArgs, OperatorCommand, OperatorTarget, PriceArgs, PriceCommand, Proposal, ReconcileArgs,
    SuspenseArgs, SuspenseCommand,
};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  a fault of this program or the machine
  2  wrong command line
  3  wrong configuration or missing tools
  4  something that should verify does not
  5  the payment failed or funds are short; nothing was taken
  6  a service does not answer, or not in time: try again
  7  the seller refused, with a reason

First steps:
  ailayer demo \"some text\"          everything on this machine, once, then gone
  ailayer up --devnet               the same, left running, to try things out
  ailayer verify bundle.json        check a receipt without any network
  ailayer operator new alice        make an operator's key, then: account, key, price, reconcile";

/// Hosts AI models, is paid for every answer in bitcoin, and proves what it did.
#[derive(Debug, Parser)]
#[command(name = "ailayer", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Args {
    /// Print results as JSON, and nothing else, on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run one service in the foreground.
    Serve(ServeArgs),
    /// Run all services on this machine, one process each, and restart those that fail.
    Up(UpArgs),
    /// Watch a paid inference on a private network: real nodes, real model, nothing left behind.
    Demo(DemoArgs),
    /// Buy embeddings with your own Lightning node; save the answer's receipt and, once anchored, its proof.
    Buy(Box<BuyArgs>),
    /// Fetch, or open, the answer of a job you bought before, by the file that `buy` kept of it.
    Fetch(Box<FetchArgs>),
    /// Check a proof bundle offline.
    Verify(VerifyArgs),
    /// Look at what is for sale.
    Model(ModelArgs),
    /// Manage the operator's Lightning channels.
    Channel(ChannelArgs),
    /// Show which services are ready and what they know.
    Status(StatusArgs),
    /// Customer: run a job and pay it from your balance.
    Run(RunArgs),
    /// Customer: show your balance.
    Balance(BalanceArgs),
    /// Customer: list what moved your balance.
    Statement(StatementArgs),
    /// Customer: make a Lightning invoice that funds your balance.
    Deposit(DepositArgs),
    /// Operator: make the key that the commands below need.
    Operator(OperatorArgs),
    /// Operator: open, list, freeze accounts.
    Account(AccountArgs),
    /// Operator: make, list, revoke the API keys of an account.
    Key(KeyArgs),
    /// Operator: set, forget, list prices.
    Price(PriceArgs),
    /// Operator: stop new jobs or claims, and let them go on.
    Brake(BrakeArgs),
    /// Operator: correct a balance, or book what a channel has lost; takes two operators.
    Adjust(AdjustArgs),
    /// Operator: look at money that is not known to be anybody's, and give it to somebody.
    Suspense(SuspenseArgs),
    /// Operator: compare the books; exit code 4 if they do not agree.
    Reconcile(ReconcileArgs),
    /// Load one model within limits and report: what model-serving runs before it loads a model itself.
    #[command(name = ailayer_model_serving::trial::ARGUMENT, hide = true)]
    TrialLoad,
}

/// A service of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Service {
    /// Quotes, jobs and settlement.
    Gateway,
    /// ONNX models.
    ModelServing,
    /// The Lightning node.
    Payment,
    /// The chain follower.
    Indexer,
    /// The transparency log.
    Audit,
}

#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Which service.
    pub service: Service,
    /// TOML file with one table a service. `AILAYER_<SERVICE>__<KEY>` variables win over it.
    #[arg(long, env = "AILAYER_CONFIG")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct UpArgs {
    /// TOML file with one table a service.
    #[arg(long, env = "AILAYER_CONFIG", required_unless_present = "devnet")]
    pub config: Option<PathBuf>,
    /// Also run a private bitcoind, ElectrumX and PostgreSQL, and write the configuration for them.
    #[arg(long, conflicts_with = "config")]
    pub devnet: bool,
    /// Where logs (and with --devnet all data) go; continued with if it exists. Temporary by default.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Texts to embed; three sentences of our own by default, and in the company of a single one.
    pub texts: Vec<String>,
    /// Keep logs and data in this folder instead of removing them.
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// Where to save the proof bundle; in the folder for temporary files by default.
    #[arg(long)]
    pub bundle: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct BuyArgs {
    /// Texts to embed.
    #[arg(required_unless_present = "tensors")]
    pub texts: Vec<String>,
    /// Tensors for a tensor model in place of texts: a JSON file as the Open Inference Protocol has it,
    /// {"inputs": [{"name", "datatype", "shape", "data"}]}.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["texts", "truncate"], requires = "model")]
    pub tensors: Option<PathBuf>,
    /// The seller's gateway, http://host:port.
    #[arg(long, env = "AILAYER_GATEWAY")]
    pub gateway: String,
    /// The model.
    #[arg(long, default_value = "all-minilm-l6-v2")]
    pub model: String,
    /// The most you pay for this answer, millisatoshi.
    #[arg(long)]
    pub max_price_msat: u64,
    /// Cut texts that are longer than the model reads, instead of refusing them.
    #[arg(long)]
    pub truncate: bool,
    /// Have the answer sealed: it is delivered first, and only your payment's preimage and a key of yours open it.
    #[arg(long)]
    pub sealed: bool,
    /// The seller's key, `ed25519:…`, learned from somewhere you trust; the announced one otherwise.
    #[arg(long)]
    pub seller_key: Option<String>,
    /// The model file's SHA-256 you insist on.
    #[arg(long)]
    pub model_digest: Option<Digest>,
    /// Your idempotency key (a UUID), to repeat an interrupted purchase; a fresh one otherwise.
    #[arg(long)]
    pub request_id: Option<RequestId>,
    /// Wait until the receipt is anchored in Bitcoin, at most this long (e.g. 30m), and save the proof.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub wait_anchor: Option<std::time::Duration>,
    /// Where to save the job's token (`<job>.job.json`), the receipt (`<job>.receipt.json`), the answer
    /// (`<job>.answer.json`) and the proof (`<job>.bundle.json`); of a sealed answer also its key
    /// (`<request>.seal.key`) and its ciphertext (`<job>.sealed`).
    #[arg(long, default_value = ".")]
    pub out: PathBuf,
    #[command(flatten)]
    pub wallet: WalletArgs,
}

#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    /// The file of the job, `<job>.job.json`; what belongs to it is looked for, and saved, beside it.
    pub job: PathBuf,
    #[command(flatten)]
    pub wallet: WalletArgs,
}

/// The buyer's own Lightning node.
#[derive(Debug, clap::Args)]
pub struct WalletArgs {
    /// Folder of your node's keys and channels. Back it up.
    #[arg(long, env = "AILAYER_WALLET")]
    pub wallet: PathBuf,
    /// The network you pay on.
    #[arg(long, default_value_t = Network::Regtest)]
    pub network: Network,
    /// Your bitcoind's RPC, http://host:port.
    #[arg(long, env = "AILAYER_BITCOIND_RPC")]
    pub bitcoind_rpc: String,
    /// Its user.
    #[arg(long, env = "AILAYER_BITCOIND_USER")]
    pub bitcoind_user: String,
    /// Its password. Prefer the variable: command lines are visible to others.
    #[arg(long, env = "AILAYER_BITCOIND_PASSWORD", hide_env_values = true, value_parser = secret)]
    pub bitcoind_password: Secret<String>,
    /// Where your node listens for peers; nowhere by default.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Open a channel of this many satoshi to the seller first, if you have none.
    #[arg(long)]
    pub open_channel_sat: Option<u64>,
    /// Pay with real bitcoin on the network `bitcoin`.
    #[arg(long)]
    pub allow_mainnet: bool,
}

/// From here on nothing prints it.
pub fn secret(text: &str) -> Result<Secret<String>, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The proof bundle, a JSON file; `-` reads standard input.
    pub bundle: PathBuf,
    /// The seller's key you trust, `ed25519:…`.
    #[arg(long)]
    pub gateway_key: Option<String>,
    /// The log's verification key you trust, `name+id+base64`.
    #[arg(long)]
    pub log_key: Option<String>,
    /// The network the bundle must be on.
    #[arg(long)]
    pub network: Option<Network>,
    /// Fewest blocks from the anchoring one to the bundle's tip.
    #[arg(long, default_value_t = 1)]
    pub min_confirmations: u32,
    /// A block of the best chain you know of, that must be among the bundle's headers.
    #[arg(long)]
    pub trusted_block: Option<bitcoin::BlockHash>,
    /// A text that was sent, in order; repeat for each. Proves that the receipt is about your request.
    #[arg(long = "text")]
    pub texts: Vec<String>,
    /// The file of tensors that was sent. Proves that the receipt is about your request.
    #[arg(long, value_name = "FILE", conflicts_with = "texts")]
    pub tensors: Option<PathBuf>,
    /// The answer as `ailayer buy` saved it (`<job>.answer.json`). Proves that the receipt is about it.
    #[arg(long)]
    pub answer: Option<PathBuf>,
    /// The ciphertext as `ailayer buy --sealed` saved it (`<job>.sealed`). Proves that the receipt is about it.
    #[arg(long)]
    pub sealed: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    pub command: ModelCommand,
}

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// List the models for sale with their prices.
    List {
        /// The gateway, http://host:port.
        #[arg(long, env = "AILAYER_GATEWAY")]
        gateway: String,
    },
}

#[derive(Debug, clap::Args)]
pub struct ChannelArgs {
    #[command(subcommand)]
    pub command: ChannelCommand,
}

#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    /// Open a channel from the operator's node to a peer.
    Open {
        /// The payment service, http://host:port.
        #[arg(long, env = "AILAYER_PAYMENT")]
        payment: String,
        /// The peer: `node_id@host:port`.
        peer: Peer,
        /// The channel's size, satoshi.
        #[arg(long)]
        amount_sat: u64,
        /// What to give to the peer's side at once, millisatoshi.
        #[arg(long, default_value_t = 0)]
        push_msat: u64,
        /// Announce the channel to the network.
        #[arg(long)]
        announce: bool,
        /// Your idempotency key (a UUID), to repeat an interrupted call; a fresh one otherwise.
        #[arg(long)]
        request_id: Option<RequestId>,
    },
    /// List the operator's channels.
    List {
        /// The payment service, http://host:port.
        #[arg(long, env = "AILAYER_PAYMENT")]
        payment: String,
    },
}

/// A Lightning peer: `node_id@host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The public key.
    pub node_id: [u8; 33],
    /// host:port.
    pub address: String,
}

impl std::str::FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, address) = text.split_once('@').ok_or("write it as node_id@host:port")?;
        let bytes = hex::decode(id).map_err(|_| "the node id is not hex")?;
        let node_id = bytes.as_slice().try_into().map_err(|_| "the node id has 33 bytes")?;
        if address.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            return Err("the address is not host:port".to_owned());
        }
        Ok(Self { node_id, address: address.to_owned() })
    }
}

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// The gateway, http://host:port.
    #[arg(long, env = "AILAYER_GATEWAY")]
    pub gateway: Option<String>,
    /// The payment service.
    #[arg(long, env = "AILAYER_PAYMENT")]
    pub payment: Option<String>,
    /// The model-serving service.
    #[arg(long, env = "AILAYER_SERVING")]
    pub serving: Option<String>,
    /// The indexer.
    #[arg(long, env = "AILAYER_INDEXER")]
    pub indexer: Option<String>,
    /// The audit service.
    #[arg(long, env = "AILAYER_AUDIT")]
    pub audit: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn peers_are_read_strictly() {
        let id = "02".repeat(33);
        assert!(format!("{id}@127.0.0.1:9735").parse::<Peer>().is_ok());
        for wrong in ["", "02@h:1", &id, &format!("{id}@h"), &format!("{id}@:1"), &format!("{id}@h:x")] {
            assert!(wrong.parse::<Peer>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_wallets_password_is_never_printed() {
        let line = "ailayer buy hello --gateway http://h:1 --max-price-msat 1 --wallet w \
                    --bitcoind-rpc http://h:2 --bitcoind-user u --bitcoind-password hunter2";
        let args = Args::try_parse_from(line.split_whitespace()).unwrap();
        assert!(!format!("{args:?}").contains("hunter2"));
        let Command::Buy(buy) = args.command else { panic!("not what was asked for") };
        assert_eq!(buy.wallet.bitcoind_password.expose(), "hunter2");
    }
}
