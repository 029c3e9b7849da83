//! The node: open, fund, open a channel, pay, wait, stop.

use std::fs::{File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_primitives::{AmountMsat, Digest, Network, PaymentHash};
use ldk_node::lightning::ln::channelmanager::PaymentId;
use ldk_node::payment::{PaymentKind, PaymentStatus};
use ldk_node::{Builder, Node, NodeError};
use lightning_invoice::Bolt11Invoice;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::check::check_invoice;
use crate::events::{Outcomes, pump};
use crate::off_runtime::OffRuntime;
use crate::{PayerConfig, PayerError};

/// How often conditions that have no event are looked at.
const POLL: Duration = Duration::from_millis(100);
/// How long an event may lag behind the node's list of payments.
const RECORD_PATIENCE: Duration = Duration::from_millis(500);
/// How long the event pump may take to end.
const GRACE: Duration = Duration::from_secs(2);

/// How a payment ended.
#[derive(Clone, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// The recipient took the money.
    Succeeded {
        /// The proof of payment, if the node still knows it.
        preimage: Option<[u8; 32]>,
        /// Routing fees, millisatoshi.
        fee_msat: u64,
    },
    /// No money moved: what was locked is back.
    Failed {
        /// A short machine word, such as `recipient_rejected`.
        reason: String,
    },
}

impl std::fmt::Debug for PaymentOutcome {
    /// A preimage is a secret until the payee has shown it, and is never printed.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Succeeded { fee_msat, .. } => write!(f, "Succeeded(fee {fee_msat} msat)"),
            Self::Failed { reason } => write!(f, "Failed({reason})"),
        }
    }
}

/// What the wallet holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayerBalances {
    /// On chain, confirmed and not, satoshi.
    pub onchain_total_sat: u64,
    /// On chain and spendable now, satoshi.
    pub onchain_spendable_sat: u64,
    /// In channels if all closed now, satoshi.
    pub lightning_sat: u64,
    /// What usable channels can send now, millisatoshi.
    pub outbound_msat: u64,
}

/// A running node of a buyer. Stop it with [`Payer::stop`]; a drop without stop loses no funds.
pub struct Payer {
    node: Arc<OffRuntime>,
    network: Network,
    outcomes: Arc<watch::Sender<Outcomes>>,
    tasks: Tasks,
    _lock: File,
}

impl Payer {
    /// Opens or creates the wallet in the folder and starts its node.
    pub async fn start(config: PayerConfig) -> Result<Self, PayerError> {
        let network = config.network;
        let (node, lock) = spawn_blocking(move || open(&config)).await.map_err(|_| panicked())??;
        let node = Arc::new(OffRuntime::new(node));
        let outcomes = Arc::new(watch::Sender::new(Outcomes::new()));
        let tasks = Tasks::new(Shutdown::new(), GRACE);
        let (stop, pumped) = (tasks.shutdown_token(), pump(Arc::clone(&node), Arc::clone(&outcomes)));
        tasks.spawn("pump_wallet_events", async move {
            tokio::select! {
                () = pumped => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Self { node, network, outcomes, tasks, _lock: lock })
    }

    async fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Node) -> Result<T, NodeError> + Send + 'static,
    ) -> Result<T, PayerError> {
        let node = Arc::clone(&self.node);
        let outcome = spawn_blocking(move || act(&node)).await.map_err(|_| panicked())?;
        outcome.map_err(|error| match error {
            NodeError::InsufficientFunds => PayerError::InsufficientFunds,
            other => PayerError::Node(other.to_string()),
        })
    }

    /// The node's public key.
    pub fn node_id(&self) -> [u8; 33] {
        self.node.node_id().serialize()
    }

    /// A fresh address of the on-chain wallet.
    pub async fn new_address(&self) -> Result<bitcoin::Address, PayerError> {
        self.call(|node| node.onchain_payment().new_address()).await
    }

    /// Takes the newest blocks into account now instead of at the next poll.
    pub async fn sync(&self) -> Result<(), PayerError> {
        self.call(Node::sync_wallets).await
    }

    /// The height of the newest block the node knows.
    pub fn height(&self) -> u32 {
        self.node.status().current_best_block.height
    }

    /// What the wallet holds.
    pub async fn balances(&self) -> Result<PayerBalances, PayerError> {
        self.call(|node| {
            let balances = node.list_balances();
            let usable = node.list_channels().into_iter().filter(|channel| channel.is_usable);
            Ok(PayerBalances {
                onchain_total_sat: balances.total_onchain_balance_sats,
                onchain_spendable_sat: balances.spendable_onchain_balance_sats,
                lightning_sat: balances.total_lightning_balance_sats,
                outbound_msat: usable.map(|channel| channel.outbound_capacity_msat).sum(),
            })
        })
        .await
    }

    /// Opens a channel; it is usable after its confirmations.
    pub async fn open_channel(
        &self,
        peer: &[u8; 33],
        address: &str,
        channel_amount_sat: u64,
        push_msat: u64,
    ) -> Result<(), PayerError> {
        let peer =
            bitcoin::secp256k1::PublicKey::from_slice(peer).map_err(|_| PayerError::Malformed("node id"))?;
        let address = address.parse().map_err(|_| PayerError::Malformed("address"))?;
        let push = Some(push_msat).filter(|msat| *msat > 0);
        self.call(move |node| node.open_channel(peer, address, channel_amount_sat, push, None).map(drop))
            .await
    }

    /// Connects to a peer now; a known peer that went away is otherwise looked for once a minute.
    pub async fn connect(&self, peer: &[u8; 33], address: &str) -> Result<(), PayerError> {
        let peer =
            bitcoin::secp256k1::PublicKey::from_slice(peer).map_err(|_| PayerError::Malformed("node id"))?;
        let address = address.parse().map_err(|_| PayerError::Malformed("address"))?;
        self.call(move |node| node.connect(peer, address, true)).await
    }

    /// True when the funding transaction of at least one channel is known.
    pub fn has_channel(&self) -> bool {
        self.node.list_channels().iter().any(|channel| channel.funding_txo.is_some())
    }

    /// Begins to close all channels in good order; the money is on chain once the closing transactions confirm.
    pub async fn close_channels(&self) -> Result<(), PayerError> {
        self.call(|node| {
            node.list_channels().iter().try_for_each(|channel| {
                node.close_channel(&channel.user_channel_id, channel.counterparty_node_id)
            })
        })
        .await
    }

    /// Waits until some channel can send at least `msat`.
    pub async fn wait_channel_usable(&self, msat: u64, timeout: Duration) -> Result<(), PayerError> {
        self.wait("a usable channel", timeout, |node| {
            node.list_channels()
                .iter()
                .any(|channel| channel.is_usable && channel.outbound_capacity_msat >= msat)
        })
        .await
    }

    /// Waits until the wallet has at least this much to spend on chain.
    pub async fn wait_funds(&self, sat: u64, timeout: Duration) -> Result<(), PayerError> {
        self.wait("the arrival of on-chain funds", timeout, |node| {
            node.list_balances().spendable_onchain_balance_sats >= sat
        })
        .await
    }

    /// Waits until the node knows a block of at least this height.
    pub async fn wait_height(&self, height: u32, timeout: Duration) -> Result<(), PayerError> {
        self.wait("the newest block", timeout, |node| node.status().current_best_block.height >= height).await
    }

    /// Waits for a channel's funding transaction to be negotiated and handed to the network.
    pub async fn wait_funding(&self, timeout: Duration) -> Result<(), PayerError> {
        self.wait("the channel's funding transaction", timeout, |node| {
            node.list_channels().iter().any(|channel| channel.funding_txo.is_some())
        })
        .await
    }

    async fn wait(
        &self,
        what: &'static str,
        timeout: Duration,
        holds: impl Fn(&Node) -> bool,
    ) -> Result<(), PayerError> {
        let waited = tokio::time::timeout(timeout, async {
            while !holds(&self.node) {
                tokio::time::sleep(POLL).await;
            }
        });
        waited.await.map_err(|_| PayerError::TimedOut { what, waited: timeout })
    }

    /// Sends a payment for an invoice and returns at once; follow it with [`Payer::wait_payment`].
    ///
    /// Idempotent by payment hash: a payment that is on its way or has succeeded is not sent again.
    /// Returns true if it was sent now.
    pub async fn pay(&self, bolt11: &str, max_amount: AmountMsat) -> Result<bool, PayerError> {
        let invoice = check_invoice(bolt11, self.network, max_amount)?;
        self.forget_failure(hash_of(&invoice));
        self.call(move |node| sent(node.bolt11_payment().send(&invoice, None))).await
    }

    /// Sends another amount than the invoice asks, as a careless payer does: for trying out what a recipient makes
    /// of it. The node itself refuses less than the invoice asks. Otherwise as [`Payer::pay`].
    pub async fn pay_amount(&self, bolt11: &str, amount: AmountMsat) -> Result<bool, PayerError> {
        let invoice = check_invoice(bolt11, self.network, amount)?;
        self.forget_failure(hash_of(&invoice));
        self.call(move |node| sent(node.bolt11_payment().send_using_amount(&invoice, amount.msat(), None)))
            .await
    }

    /// Sends what an invoice asks that the caller made itself, its signature unchecked: for trying out what a recipient makes
    /// of terms that it never offered. Otherwise as [`Payer::pay`].
    pub async fn pay_unchecked(&self, invoice: Bolt11Invoice) -> Result<bool, PayerError> {
        self.forget_failure(hash_of(&invoice));
        self.call(move |node| sent(node.bolt11_payment().send(&invoice, None))).await
    }

    /// How an earlier attempt at an invoice ended says nothing about the next one.
    fn forget_failure(&self, payment_hash: PaymentHash) {
        self.outcomes.send_if_modified(|all| {
            let failed = matches!(all.get(&payment_hash), Some(PaymentOutcome::Failed { .. }));
            failed && all.remove(&payment_hash).is_some()
        });
    }

    /// How a payment ended; `None` while it is on its way or unknown.
    pub fn outcome(&self, payment_hash: PaymentHash) -> Option<PaymentOutcome> {
        self.seen(payment_hash).or_else(|| self.recorded(payment_hash))
    }

    /// As this run saw it.
    fn seen(&self, payment_hash: PaymentHash) -> Option<PaymentOutcome> {
        self.outcomes.borrow().get(&payment_hash).cloned()
    }

    /// As the node's own list has it, which also knows what earlier runs missed, but no reasons.
    fn recorded(&self, payment_hash: PaymentHash) -> Option<PaymentOutcome> {
        let details = self.node.payment(&PaymentId(*payment_hash.0.as_bytes()))?;
        match details.status {
            PaymentStatus::Pending => None,
            PaymentStatus::Succeeded => {
                let preimage = match details.kind {
                    PaymentKind::Bolt11 { preimage, .. } => preimage.map(|preimage| preimage.0),
                    _ => None,
                };
                Some(PaymentOutcome::Succeeded { preimage, fee_msat: details.fee_paid_msat.unwrap_or(0) })
            }
            PaymentStatus::Failed => Some(PaymentOutcome::Failed { reason: "failed_earlier".to_owned() }),
        }
    }

    /// Waits for the end of a payment.
    pub async fn wait_payment(
        &self,
        payment_hash: PaymentHash,
        timeout: Duration,
    ) -> Result<PaymentOutcome, PayerError> {
        let mut changes = self.outcomes.subscribe();
        let waited = tokio::time::timeout(timeout, async {
            let mut listed = false;
            loop {
                changes.mark_unchanged();
                if let Some(outcome) = self.seen(payment_hash) {
                    return outcome;
                }
                let changed = tokio::time::timeout(RECORD_PATIENCE, changes.changed()).await;
                // The node's list is written a moment before the event that carries the reason: once it is found there,
                // the event has its whole time to come.
                match self.outcome(payment_hash) {
                    Some(outcome) if listed && changed.is_err() => return outcome,
                    outcome => listed = outcome.is_some(),
                }
            }
        });
        waited.await.map_err(|_| PayerError::TimedOut { what: "the payment's end", waited: timeout })
    }

    /// The SHA-256 of an invoice's preimage.
    pub fn payment_hash(bolt11: &str) -> Result<PaymentHash, PayerError> {
        bolt11.parse().map(|invoice| hash_of(&invoice)).map_err(|_| PayerError::Malformed("invoice"))
    }

    /// Ends the node in good order.
    pub async fn stop(self) -> Result<(), PayerError> {
        self.tasks.shutdown_token().trigger();
        let Self { node, tasks, .. } = self;
        if let Err(error) = tasks.join().await {
            tracing::warn!(%error, "the wallet's event pump did not end by itself");
        }
        // Dropping the node's own runtime blocks, which async code must not do.
        spawn_blocking(move || node.stop())
            .await
            .map_err(|_| panicked())?
            .map_err(|error| PayerError::Node(error.to_string()))
    }
}

impl std::fmt::Debug for Payer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payer({})", self.node.node_id())
    }
}

/// Whether a payment was sent now; one that is on its way or has succeeded is no error.
fn sent<T>(outcome: Result<T, NodeError>) -> Result<bool, NodeError> {
    match outcome {
        Ok(_) => Ok(true),
        Err(NodeError::DuplicatePayment) => Ok(false),
        Err(error) => Err(error),
    }
}

fn hash_of(invoice: &Bolt11Invoice) -> PaymentHash {
    PaymentHash(Digest::new(*invoice.payment_hash().as_ref()))
}

fn panicked() -> PayerError {
    PayerError::Node("it panicked".to_owned())
}

/// Two live copies of channel state lose funds, so the folder is locked first.
fn open(config: &PayerConfig) -> Result<(Arc<Node>, File), PayerError> {
    let failed = |error: std::io::Error| PayerError::Open(format!("{}: {error}", config.data_dir.display()));
    // It holds the keys: nobody else may look into it.
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true).mode(0o700).create(&config.data_dir).map_err(failed)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(config.data_dir.join("lock"))
        .map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(PayerError::InUse(config.data_dir.display().to_string()));
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let mut builder = Builder::new();
    builder
        .set_network(config.network.into())
        .set_storage_dir_path(config.data_dir.join("node").to_string_lossy().into_owned())
        .set_log_facade_logger()
        .set_gossip_source_p2p()
        .set_chain_source_bitcoind_rpc(
            config.rpc_host.clone(),
            config.rpc_port,
            config.rpc_user.clone(),
            config.rpc_password.expose().clone(),
        );
    if let Some(listen) = config.listen {
        let address = match listen {
            SocketAddr::V4(v4) => v4.into(),
            SocketAddr::V6(v6) => v6.into(),
        };
        builder
            .set_listening_addresses(vec![address])
            .map_err(|error| PayerError::Open(error.to_string()))?;
    }
    let node = builder.build().map_err(|error| PayerError::Open(error.to_string()))?;
    node.start().map_err(|error| PayerError::Start(error.to_string()))?;
    Ok((Arc::new(node), lock))
}
