//! The shared network with a seller, two buyers and their channels, and everything scenarios do on it.
//!
//! | module | what scenarios do with it |
//! |---|---|
//! | [`services`] | kill, crash, hang, reconfigure and restart services; everything is undone after a scenario |
//! | [`blows`] | kill anything behind a durable write |
//! | [`purchase`] | quote, pay, follow |
//! | [`customer`] | accounts, keys, deposits, jobs that are charged |
//! | [`endings`] | the two endings a paid job may have, checked at the payer's node, the gateway, the log and the books |
//! | [`forged`] | pay on terms that the seller never offered |
//! | [`books`] | what the services' tables say |
//! | [`chain`] | mine, anchor, run into deadlines |
//! | [`collector`] | which calls are one trace |
//! | [`wait`] | conditions, never sleeps |

pub mod blows;
pub mod books;
pub mod chain;
pub mod collector;
pub mod customer;
pub mod endings;
pub mod forged;
pub mod http;
pub mod metrics;
pub mod purchase;
pub mod services;
pub mod wait;

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ailayer_client::gateway::Seller;
use ailayer_client::{AuditClient, ClientConfig, GatewayClient, PaymentClient};
use ailayer_devnet::{AilayerBinary, DataDir, Network, NetworkOptions, Toolbox};
use ailayer_payer::{Payer, PayerConfig};
use ailayer_platform::config::Secret;
use anyhow::Context as _;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::OnceCell;

use self::services::Service;

/// The model all scenarios buy from, and its prices as the devnet configures them.
pub const MODEL: &str = "all-minilm-l6-v2";
/// Of each call.
pub const PRICE_PER_CALL_MSAT: u64 = 1_000;
/// Of each token.
pub const PRICE_PER_TOKEN_MSAT: u64 = 10;
/// The most a buyer pays for one answer.
pub const MAX_PRICE_MSAT: u64 = 100_000;
/// How long a held job may run. Long enough for a gateway that is killed on the way to come back and go on.
pub const RUN_LIMIT: Duration = Duration::from_secs(20);

/// A buyer's channel to the seller.
const CHANNEL_SAT: u64 = 1_000_000;
/// What each buyer gets: the channel, its reserve and fees.
const BUYER_SAT: u64 = 1_500_000;
/// What the seller keeps on chain to bump a force-close.
const SELLER_SAT: u64 = 200_000;
/// What the audit log spends on anchors.
const LOG_SAT: u64 = 1_000_000;
/// Blocks after which both nodes use the channel.
const CHANNEL_BLOCKS: u32 = 6;
/// How long anything may take that only needs a moment, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// More is logged than an operator would see, so that a secret has more chances to show.
const LOG_FILTER: &str = "info,ailayer=debug";
/// How long the jobs of a killed gateway wait for it.
const LEASE: &str = "2s";

/// A network on which trade is possible.
pub struct Stage {
    /// The services and what they stand on.
    pub network: Network,
    /// The program under test.
    pub binary: AilayerBinary,
    /// Calls the gateway.
    pub gateway: GatewayClient,
    /// Calls the payment service.
    pub payment: PaymentClient,
    /// Calls the audit service.
    pub audit: AuditClient,
    /// What the gateway says about itself; stays the same over restarts.
    pub seller: Seller,
    /// Buys.
    pub buyer: Payer,
    /// Another one, with a node and a channel of its own.
    pub stranger: Payer,
    /// What the buyer's node and the books should agree on.
    account: Mutex<Account>,
    /// The services' tables.
    pub database: PgPool,
    /// Texts that must not be in any log, with what they are.
    secrets: Mutex<Vec<(String, String)>>,
    /// What is worth knowing of a scenario that went well.
    notes: Mutex<Vec<String>>,
    /// Services that a scenario has killed, crashed or configured otherwise.
    disturbed: Mutex<BTreeSet<Service>>,
    /// The configuration all services were first started with.
    configuration: String,
    /// A bundle of a settled job, made once.
    bundle: OnceCell<chain::Anchored>,
}

impl Stage {
    /// Starts the network, funds everybody and opens both channels.
    pub async fn start() -> anyhow::Result<Self> {
        let binary = AilayerBinary::find()?;
        let options = NetworkOptions { run_limit: RUN_LIMIT, env: environment(), ..Default::default() };
        let data_dir = DataDir::temporary()?;
        let network = Network::start(data_dir, &Toolbox::discover(), &binary, &options, |_| {}).await?;
        let gateway = GatewayClient::new(&ClientConfig::new(network.gateway.grpc_url()))?;
        let payment = PaymentClient::new(&ClientConfig::new(network.payment.grpc_url()))?;
        let audit = AuditClient::new(&ClientConfig::new(network.audit.grpc_url()))?;
        let seller = gateway.seller().await?;
        let buyer = start_payer(&network, "buyer").await?;
        let stranger = start_payer(&network, "stranger").await?;
        let url = network.backbone.postgres.url("ailayer");
        let database = PgPoolOptions::new().max_connections(2).connect(&url).await?;
        let configuration = std::fs::read_to_string(configuration_file(&network))?;
        let stage = Self {
            network,
            binary,
            gateway,
            payment,
            audit,
            seller,
            buyer,
            stranger,
            account: Mutex::default(),
            database,
            secrets: Mutex::default(),
            notes: Mutex::default(),
            disturbed: Mutex::default(),
            configuration,
            bundle: OnceCell::new(),
        };
        let seller = [
            (regtest(&stage.audit.log().await?.wallet_address)?, LOG_SAT),
            (regtest(&stage.payment.create_address().await?)?, SELLER_SAT),
        ];
        stage.network.backbone.bitcoind.fund_many(&seller).await?;
        stage.open_channels(&[&stage.buyer, &stage.stranger]).await.context("opening channels")?;
        stage.account().channel_msat = stage.outbound_msat(&stage.buyer).await?;
        Ok(stage)
    }

    /// Ends everything in good order.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.database.close().await;
        self.buyer.stop().await?;
        self.stranger.stop().await?;
        self.network.stop().await?;
        Ok(())
    }

    /// Funds payers and opens a channel for each.
    async fn open_channels(&self, payers: &[&Payer]) -> anyhow::Result<()> {
        let mut coins = Vec::new();
        for payer in payers {
            coins.push((payer.new_address().await?, BUYER_SAT));
        }
        self.network.backbone.bitcoind.fund_many(&coins).await?;
        self.mine(1).await?;
        let address = self.seller_address()?;
        for payer in payers {
            payer.wait_funds(CHANNEL_SAT + SELLER_SAT, PATIENCE).await?;
            payer.open_channel(&self.seller.node_id, &address, CHANNEL_SAT, 0).await?;
            payer.wait_funding(PATIENCE).await?;
        }
        wait::until("the funding transactions are in the mempool", PATIENCE, || async {
            Ok(self.network.backbone.bitcoind.mempool().await?.len() >= payers.len())
        })
        .await?;
        self.mine(CHANNEL_BLOCKS).await?;
        for payer in payers {
            payer.wait_channel_usable(MAX_PRICE_MSAT, PATIENCE).await?;
        }
        self.wait_channels().await
    }

    /// One more buyer, with a node and a channel of its own, who may be stopped and come back.
    pub async fn new_payer(&self, name: &str) -> anyhow::Result<Payer> {
        let payer = start_payer(&self.network, name).await?;
        self.open_channels(&[&payer]).await?;
        Ok(payer)
    }

    /// The same buyer after it was stopped.
    pub async fn payer_again(&self, name: &str) -> anyhow::Result<Payer> {
        let payer = start_payer(&self.network, name).await?;
        payer.connect(&self.seller.node_id, &self.seller_address()?).await?;
        Ok(payer)
    }

    /// Notes what the seller has from somebody else than the buyer.
    pub fn paid_by_another(&self, msat: u64) {
        self.account().by_others_msat += msat;
    }

    /// Opens new channels in place of closed ones.
    async fn reopen_channels(&self) -> anyhow::Result<()> {
        let closed: Vec<&Payer> =
            [&self.buyer, &self.stranger].into_iter().filter(|it| !it.has_channel()).collect();
        if closed.is_empty() {
            return Ok(());
        }
        self.note("a node that was killed has closed a channel");
        self.open_channels(&closed).await?;
        if closed.iter().any(|payer| std::ptr::eq(*payer, &self.buyer)) {
            self.account().close_channel();
            self.account().channel_msat = self.outbound_msat(&self.buyer).await?;
        }
        Ok(())
    }

    async fn wait_channels(&self) -> anyhow::Result<()> {
        for payer in [&self.buyer, &self.stranger] {
            payer.wait_channel_usable(MAX_PRICE_MSAT, PATIENCE).await?;
        }
        Ok(())
    }

    fn seller_address(&self) -> anyhow::Result<String> {
        self.seller.node_addresses.first().cloned().context("the seller announces no address")
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the buyer's node, and others as noted, have paid so far, and what was settled although it says that it has not paid.
    pub async fn spent_msat(&self) -> anyhow::Result<(u64, u64)> {
        let now = self.outbound_msat(&self.buyer).await?;
        let account = *self.account();
        let paid_msat = account.earlier_msat + account.channel_msat - now + account.by_others_msat;
        Ok((paid_msat, account.unpaid_msat))
    }

    /// Remembers a text that no log may hold.
    pub fn keep_secret(&self, what: impl Into<String>, text: impl Into<String>) {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push((what.into(), text.into()));
    }

    /// Tells the reader of the results something.
    pub fn note(&self, text: impl Into<String>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
    }

    /// What was told since the last call.
    pub fn take_notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything remembered so far.
    pub fn secrets(&self) -> Vec<(String, String)> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The buyer's side of the books, over the lives of its channels.
#[derive(Debug, Clone, Copy, Default)]
struct Account {
    /// Paid through channels that are closed.
    earlier_msat: u64,
    /// What the present channel could send when it was new.
    channel_msat: u64,
    /// What it could send when it was last looked at.
    last_msat: u64,
    /// Paid by other nodes.
    by_others_msat: u64,
    /// Settled, and swallowed by the closing of a channel: an amount that small has no output of its own.
    unpaid_msat: u64,
}

impl Account {
    const fn close_channel(&mut self) {
        self.earlier_msat += self.channel_msat - self.last_msat;
    }
}

/// The one file that configures all services.
fn configuration_file(network: &Network) -> std::path::PathBuf {
    network.backbone.data_dir.path().join("ailayer.toml")
}

fn environment() -> Vec<(String, String)> {
    let log_filter = |service: Service| {
        let table = service.name().to_uppercase().replace('-', "_");
        (format!("AILAYER_{table}__PLATFORM__TELEMETRY__LOG_FILTER"), LOG_FILTER.to_owned())
    };
    let lease = ("AILAYER_GATEWAY__LEASE".to_owned(), LEASE.to_owned());
    Service::ALL.into_iter().map(log_filter).chain([lease]).collect()
}

async fn start_payer(network: &Network, name: &str) -> anyhow::Result<Payer> {
    let bitcoind = &network.backbone.bitcoind;
    let config = PayerConfig {
        data_dir: network.backbone.data_dir.subfolder(name)?,
        network: ailayer_primitives::Network::Regtest,
        rpc_host: "127.0.0.1".to_owned(),
        rpc_port: bitcoind.rpc_port(),
        rpc_user: bitcoind.rpc_user().to_owned(),
        rpc_password: Secret::new(bitcoind.rpc_password().to_owned()),
        listen: None,
    };
    Ok(Payer::start(config).await?)
}

fn regtest(address: &str) -> anyhow::Result<bitcoin::Address> {
    let address: bitcoin::Address<bitcoin::address::NetworkUnchecked> = address.parse()?;
    Ok(address.require_network(bitcoin::Network::Regtest)?)
}
