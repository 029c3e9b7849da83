//! The Lightning node on `ldk-node` 0.7.1, with Bitcoin Core's RPC as chain source.
//!
//! `ldk-node` blocks: its calls write SQLite files and wait for its own tasks. It therefore lives on a small
//! runtime of its own, and every call into it is made from a blocking thread of ours, so that neither
//! side's stalls reach the other.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ailayer_platform::clock;
use ailayer_primitives::{AmountMsat, AmountSat, Digest, Network, PaymentHash, Preimage, UnixS};
use async_trait::async_trait;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::secp256k1::PublicKey;
use ldk_node::lightning::ln::channelmanager::PaymentId;
use ldk_node::lightning::ln::msgs::SocketAddress;
use ldk_node::lightning::routing::router::RouteParametersConfig;
use ldk_node::lightning_types::payment::{PaymentHash as LdkHash, PaymentPreimage};
use ldk_node::payment::PaymentStatus;
use ldk_node::{BuildError, Builder, Node, NodeError as LdkError};
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescription, Sha256};
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::task::spawn_blocking;

use crate::domain::channel::{Channel, ChannelOrder, UserChannelId};
use crate::domain::funds::NodeFunds;
use crate::ports::{
    IssuedInvoice, LightningNode, NodeBalances, NodeError, NodeEvent, NodeRecord, NodeStatus, SendError, Tip,
};

mod convert;
mod funds;
mod log;
mod turns;

use turns::Turns;

/// Threads of the node's own runtime: one for its event loop, one for its peers.
const RUNTIME_THREADS: usize = 2;
/// How long the node's tasks have to end once it has stopped.
const RUNTIME_GRACE: Duration = Duration::from_secs(5);

/// What a node is made of.
#[derive(Debug, Clone)]
pub struct LdkNodeConfig {
    /// Where channel state and keys are kept. Losing it loses funds; using it twice does too.
    pub storage_dir: PathBuf,
    /// The network.
    pub network: Network,
    /// Bitcoin Core's RPC host.
    pub rpc_host: String,
    /// Bitcoin Core's RPC port.
    pub rpc_port: u16,
    /// Bitcoin Core's RPC user.
    pub rpc_user: String,
    /// Bitcoin Core's RPC password.
    pub rpc_password: ailayer_platform::config::Secret<String>,
    /// Where peers may connect, host:port.
    pub listen_addresses: Vec<String>,
    /// The name announced to the network; required for announced channels.
    pub alias: Option<String>,
}

/// Why the node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A listening address is not host:port.
    #[error("{0:?} is not an address to listen on (host:port)")]
    Address(String),
    /// The storage, the keys or the alias are not usable.
    #[error("the lightning node cannot be built: {0}")]
    Build(BuildError),
    /// The chain source does not answer, or the port is taken.
    #[error("the lightning node does not start: {0}")]
    Start(LdkError),
    /// The machine gives no threads.
    #[error("no runtime for the lightning node")]
    Runtime(#[source] std::io::Error),
    /// The node's own code panicked.
    #[error("the lightning node panicked while starting")]
    Panicked,
}

/// A running `ldk-node`.
pub struct LdkNode {
    node: Arc<Node>,
    runtime: Mutex<Option<Runtime>>,
    stopped: AtomicBool,
    turns: Turns,
    /// The node keeps its last sync across restarts; only a newer one counts.
    synced_before_start: Option<u64>,
}

impl LdkNode {
    /// Builds and starts the node; returns once it runs. Sync goes on in the background.
    pub async fn start(config: LdkNodeConfig) -> Result<Self, StartError> {
        spawn_blocking(move || Self::start_blocking(&config)).await.map_err(|_| StartError::Panicked)?
    }

    fn start_blocking(config: &LdkNodeConfig) -> Result<Self, StartError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("ldk-node")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let node = Arc::new(build(config, runtime.handle().clone())?);
        let synced_before_start = node.status().latest_lightning_wallet_sync_timestamp;
        node.start().map_err(StartError::Start)?;
        Ok(Self {
            node,
            runtime: Mutex::new(Some(runtime)),
            stopped: AtomicBool::new(false),
            turns: Turns::default(),
            synced_before_start,
        })
    }

    async fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Node) -> Result<T, LdkError> + Send + 'static,
    ) -> Result<T, LdkError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(LdkError::NotRunning);
        }
        let node = Arc::clone(&self.node);
        // A panic inside the node leaves nothing to reason about; it reads as "not running".
        spawn_blocking(move || act(&node)).await.unwrap_or(Err(LdkError::NotRunning))
    }

    /// A call about one payment hash. Those about the same hash take turns, so that a call which hangs keeps one thread and
    /// not one more with each repetition: who waits for a turn, and gives up, has cost nothing.
    async fn call_about<T: Send + 'static>(
        &self,
        payment_hash: PaymentHash,
        act: impl FnOnce(&Node) -> Result<T, LdkError> + Send + 'static,
    ) -> Result<T, LdkError> {
        let turn = self.turns.of(payment_hash).lock_owned().await;
        self.call(move |node| {
            let outcome = act(node);
            drop(turn);
            outcome
        })
        .await
    }

    fn take_runtime(&self) -> Option<Runtime> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn build(config: &LdkNodeConfig, runtime: tokio::runtime::Handle) -> Result<Node, StartError> {
    let address = |text: &String| text.parse().map_err(|_| StartError::Address(text.clone()));
    let listen: Vec<SocketAddress> = config.listen_addresses.iter().map(address).collect::<Result<_, _>>()?;
    let mut builder = Builder::new();
    builder
        .set_runtime(runtime)
        .set_network(config.network.into())
        .set_storage_dir_path(config.storage_dir.to_string_lossy().into_owned())
        .set_custom_logger(Arc::new(log::TracingLog))
        .set_gossip_source_p2p()
        .set_chain_source_bitcoind_rpc(
            config.rpc_host.clone(),
            config.rpc_port,
            config.rpc_user.clone(),
            config.rpc_password.expose().clone(),
        );
    builder.set_listening_addresses(listen).map_err(StartError::Build)?;
    if let Some(alias) = &config.alias {
        builder.set_node_alias(alias.clone()).map_err(StartError::Build)?;
    }
    builder.build().map_err(StartError::Build)
}

#[async_trait]
impl LightningNode for LdkNode {
    fn node_id(&self) -> PublicKey {
        self.node.node_id()
    }

    fn listening_addresses(&self) -> Vec<String> {
        self.node.listening_addresses().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn status(&self) -> NodeStatus {
        let status = self.node.status();
        let synced = status.latest_lightning_wallet_sync_timestamp;
        NodeStatus {
            running: status.is_running && !self.stopped.load(Ordering::Acquire),
            tip: Tip {
                block_hash: status.current_best_block.block_hash,
                height: status.current_best_block.height,
            },
            synced_at: synced.filter(|_| synced > self.synced_before_start).map(UnixS),
        }
    }

    async fn balances(&self) -> Result<NodeBalances, NodeError> {
        let balances = self.call(|node| Ok(node.list_balances())).await.map_err(convert::error)?;
        let sat = |sat| AmountSat::try_new(sat).map_err(|error| NodeError::Failed(error.into()));
        Ok(NodeBalances {
            onchain_total: sat(balances.total_onchain_balance_sats)?,
            onchain_spendable: sat(balances.spendable_onchain_balance_sats)?,
            anchor_reserve: sat(balances.total_anchor_channels_reserve_sats)?,
            lightning: sat(balances.total_lightning_balance_sats)?,
        })
    }

    async fn funds(&self) -> Result<NodeFunds, NodeError> {
        let read = self.call(|node| Ok((node.list_channels(), node.list_balances()))).await;
        let (channels, balances) = read.map_err(convert::error)?;
        funds::read(&channels, &balances).map_err(|error| NodeError::Failed(error.into()))
    }

    async fn new_address(&self) -> Result<String, NodeError> {
        let address = self.call(|node| node.onchain_payment().new_address()).await;
        address.map(|address| address.to_string()).map_err(convert::error)
    }

    async fn channels(&self) -> Result<Vec<Channel>, NodeError> {
        let channels = self.call(|node| Ok(node.list_channels())).await.map_err(convert::error)?;
        channels.iter().map(convert::channel).collect()
    }

    async fn open_channel(&self, order: &ChannelOrder) -> Result<UserChannelId, NodeError> {
        let address: SocketAddress = order
            .peer_address
            .parse()
            .map_err(|_| NodeError::Refused("the peer's address is not host:port".to_owned()))?;
        let order = order.clone();
        let opened = self.call(move |node| {
            let push = Some(order.push.msat()).filter(|msat| *msat > 0);
            let size = order.amount.sat();
            if order.announce {
                node.open_announced_channel(order.peer_node_id, address, size, push, None)
            } else {
                node.open_channel(order.peer_node_id, address, size, push, None)
            }
        });
        opened.await.map(|id| UserChannelId(id.0)).map_err(convert::error)
    }

    async fn receive_for_hash(
        &self,
        payment_hash: PaymentHash,
        amount: AmountMsat,
        description_hash: Digest,
        expiry_s: u32,
    ) -> Result<IssuedInvoice, NodeError> {
        let description = Bolt11InvoiceDescription::Hash(Sha256(sha256::Hash::from_byte_array(
            *description_hash.as_bytes(),
        )));
        let made = self.call(move |node| {
            let hash = LdkHash(*payment_hash.0.as_bytes());
            node.bolt11_payment().receive_for_hash(amount.msat(), &description, expiry_s, hash)
        });
        let invoice = made.await.map_err(convert::error)?;
        let expiry = invoice.expires_at().map_or(0, |at| at.as_secs());
        Ok(IssuedInvoice { bolt11: invoice.to_string(), expiry: UnixS(expiry) })
    }

    async fn claim(&self, amount: AmountMsat, preimage: &Preimage) -> Result<(), NodeError> {
        let payment_hash = preimage.payment_hash();
        let preimage = PaymentPreimage(*preimage.expose());
        let claimed = self.call_about(payment_hash, move |node| {
            let hash = LdkHash(*payment_hash.0.as_bytes());
            node.bolt11_payment().claim_for_hash(hash, amount.msat(), preimage)
        });
        claimed.await.map_err(convert::error)
    }

    async fn fail_back(&self, payment_hash: PaymentHash) -> Result<(), NodeError> {
        let hash = LdkHash(*payment_hash.0.as_bytes());
        let failed = self.call_about(payment_hash, move |node| node.bolt11_payment().fail_for_hash(hash));
        failed.await.map_err(convert::error)
    }

    async fn send(&self, invoice: &Bolt11Invoice, fee_limit: AmountMsat) -> Result<(), SendError> {
        let invoice = invoice.clone();
        let route = RouteParametersConfig::default().with_max_total_routing_fee_msat(fee_limit.msat());
        let sent = self.call(move |node| node.bolt11_payment().send(&invoice, Some(route)));
        sent.await.map(drop).map_err(convert::send_error)
    }

    async fn record(&self, payment_hash: PaymentHash) -> Result<Option<NodeRecord>, NodeError> {
        let id = PaymentId(*payment_hash.0.as_bytes());
        let details = self.call_about(payment_hash, move |node| Ok(node.payment(&id)));
        let details = details.await.map_err(convert::error)?;
        Ok(details.map(|details| match details.status {
            PaymentStatus::Pending => NodeRecord::InFlight,
            PaymentStatus::Succeeded => NodeRecord::Succeeded,
            PaymentStatus::Failed => NodeRecord::Failed,
        }))
    }

    async fn amount_sent(&self, payment_hash: PaymentHash) -> Result<Option<AmountMsat>, NodeError> {
        let id = PaymentId(*payment_hash.0.as_bytes());
        let details = self.call_about(payment_hash, move |node| Ok(node.payment(&id)));
        let details = details.await.map_err(convert::error)?;
        let amount = details.and_then(|details| details.amount_msat).map(AmountMsat::try_new);
        amount.transpose().map_err(|error| NodeError::Failed(error.into()))
    }

    async fn next_event(&self) -> NodeEvent {
        convert::event(self.node.next_event_async().await)
    }

    fn has_event(&self) -> bool {
        self.node.next_event().is_some()
    }

    async fn event_handled(&self) -> Result<(), NodeError> {
        self.call(Node::event_handled).await.map_err(convert::error)
    }

    async fn stop(&self) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        let (node, runtime) = (Arc::clone(&self.node), self.take_runtime());
        let started = clock::now_ms();
        let stopped = spawn_blocking(move || {
            let outcome = node.stop();
            if let Some(runtime) = runtime {
                runtime.shutdown_timeout(RUNTIME_GRACE);
            }
            outcome
        });
        match stopped.await {
            Ok(Ok(())) => {
                let took_ms = clock::now_ms().0.saturating_sub(started.0);
                tracing::info!(took_ms, "lightning node stopped");
            }
            Ok(Err(error)) => tracing::warn!(%error, "lightning node did not stop cleanly"),
            Err(error) => tracing::error!(%error, "lightning node panicked while stopping"),
        }
    }
}

impl Drop for LdkNode {
    /// A runtime must not be dropped inside another one, and `Node`'s own drop blocks.
    fn drop(&mut self) {
        if let Some(runtime) = self.take_runtime() {
            let node = Arc::clone(&self.node);
            std::thread::spawn(move || {
                let _ = node.stop();
                drop(node);
                runtime.shutdown_timeout(RUNTIME_GRACE);
            });
        }
    }
}
