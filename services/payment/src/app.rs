//! The composition root.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ailayer_client::audit::AuditClient;
use ailayer_platform::client::ClientError;
use ailayer_platform::config::ConfigError;
use ailayer_platform::health::Health;
use ailayer_platform::server::{Server, ServerError};
use ailayer_platform::tasks::{Shutdown, Tasks, TasksError};
use ailayer_primitives::Network;
use ailayer_store::StoreError;
use ailayer_store::event_log::Signal;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::adapters::ldk_node::{LdkNode, LdkNodeConfig, StartError};
use crate::config::Config;
use crate::data_dir::{DataDir, DataDirError};
use crate::domain::hold_invoice::Margins;
use crate::domain::payout::PayoutLimits;
use crate::domain::preimage::PreimageSecret;
use crate::error::ServiceError;
use crate::ports::{LightningNode, PayoutLog};
use crate::service::channels::Channels;
use crate::service::funds::Funds;
use crate::service::holds::{HoldLimits, Holds};
use crate::service::payments::Payments;
use crate::service::payouts::Payouts;
use crate::service::sync_gate::SyncGate;
use crate::store::Rows;
use crate::store::identity::{self, Identity};
use crate::store::node_tip;
use crate::{NAME, rpc, tasks};

/// Why the service does not start, or stopped.
#[derive(Debug, Error)]
pub enum RunError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The audit service's endpoint is no address.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The node's folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database cannot be used, or another process writes to this schema.
    #[error("the store does not start")]
    Store(#[from] StoreError),
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] StartError),
    /// The schema belongs to another node, network or secret.
    #[error(
        "this database belongs to another {0}: check payment.data_dir, payment.network and the preimage secret"
    )]
    ForeignSchema(&'static str),
    /// Recovery failed.
    #[error("recovery failed")]
    Recovery(#[from] ServiceError),
    /// The ports cannot be bound.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A task failed or did not stop.
    #[error(transparent)]
    Tasks(#[from] TasksError),
}

/// The running service, without its wire.
pub struct App {
    /// The node.
    pub node: Arc<dyn LightningNode>,
    /// The network it runs on.
    pub network: Network,
    /// The rows.
    pub rows: Rows,
    /// Wakes readers of the event log.
    pub signal: Signal,
    /// Whether new holds may be taken.
    pub gate: Arc<SyncGate>,
    /// Hold invoices.
    pub holds: Holds,
    /// Outgoing payments.
    pub payments: Payments,
    /// Channels.
    pub channels: Channels,
    /// What they hold.
    pub funds: Arc<Funds>,
    /// How often the guard looks.
    pub guard_interval: Duration,
    /// How long silence must last before a claim counts as lost.
    pub lost_settle_time: Duration,
    /// One permit a live stream: the server's own limit of calls in flight ends when a stream begins.
    pub watchers: Arc<Semaphore>,
    /// Ends live streams.
    pub shutdown: Shutdown,
}

impl App {
    /// Puts the service together over a running node, and repeats at once what a crash may have cut off.
    pub async fn start(
        config: &Config,
        rows: Rows,
        node: Arc<dyn LightningNode>,
        secret: PreimageSecret,
        payout_log: Option<Arc<dyn PayoutLog>>,
        shutdown: Shutdown,
    ) -> Result<Arc<Self>, RunError> {
        claim_schema(&rows, config.network, node.as_ref(), &secret).await?;
        let signal = Signal::new();
        let gate = SyncGate::new(config.first_sync_wait, config.max_sync_age, config.tip_age_limit());
        if let Some(seen) = node_tip::find(&rows).await? {
            gate.remember(seen);
        }
        let gate = Arc::new(gate);
        let margins =
            Margins { claim_blocks: config.claim_margin_blocks, guard_blocks: config.guard_margin_blocks };
        let hold_limits = HoldLimits {
            max_open: config.max_open_invoices,
            max_accepted: config.max_accepted_holds,
            node_call_timeout: config.node_call_timeout,
            holds_enabled: config.holds_enabled,
            claims_enabled: config.claims_enabled,
        };
        let payout_limits = PayoutLimits {
            max_payment: config.max_payment_msat,
            max_per_hour: config.max_payments_per_hour_msat,
            max_fee_base: config.max_fee_base_msat,
            max_fee_ppm: config.max_fee_ppm,
            enabled: config.payouts_enabled,
            payees: config.payees.clone().map(BTreeSet::from_iter),
        };
        let funds = Arc::new(Funds::new(rows.clone(), Arc::clone(&node)));
        let halting = config.halt_payouts_on_residue.then(|| Arc::clone(&funds));
        let payouts =
            Arc::new(Payouts::new(payout_limits, node.node_id(), config.network, payout_log, halting));
        let watchers = usize::try_from(config.max_watchers).unwrap_or(Semaphore::MAX_PERMITS);
        let app = Self {
            holds: Holds::new(
                rows.clone(),
                Arc::clone(&node),
                secret,
                Arc::clone(&gate),
                signal.clone(),
                margins,
                hold_limits,
            ),
            payments: Payments::new(
                rows.clone(),
                Arc::clone(&node),
                config.network,
                Arc::clone(&gate),
                signal.clone(),
                Arc::clone(&payouts),
            ),
            channels: Channels::new(rows.clone(), Arc::clone(&node), signal.clone(), payouts),
            funds,
            node,
            network: config.network,
            rows,
            signal,
            gate,
            guard_interval: config.guard_interval,
            lost_settle_time: config.lost_settle_time,
            watchers: Arc::new(Semaphore::new(watchers)),
            shutdown,
        };
        app.holds.fail_back_again().await?;
        Ok(Arc::new(app))
    }

    /// Starts the tasks that move rows.
    pub fn spawn(self: &Arc<Self>, tasks: &Tasks, health: &Health) {
        let shutdown = tasks.shutdown_token();
        let node_health = health.component("lightning_node");
        tasks.spawn_critical(
            "handle_node_events",
            tasks::handle_node_events::run(Arc::clone(self), shutdown.clone()),
        );
        tasks.spawn_critical(
            "guard_deadlines",
            tasks::guard_deadlines::run(Arc::clone(self), node_health, shutdown.clone()),
        );
        tasks.spawn_critical("keep_writer", tasks::keep_writer::run(Arc::clone(self), shutdown.clone()));
        tasks.spawn_critical("look_at_funds", tasks::look_at_funds::run(Arc::clone(self), shutdown.clone()));
        tasks.spawn("send_payments", tasks::send_payments::run(Arc::clone(self), shutdown));
    }
}

/// Refuses a schema that was used with another node or secret: its holds could not be claimed.
async fn claim_schema(
    rows: &Rows,
    network: Network,
    node: &dyn LightningNode,
    secret: &PreimageSecret,
) -> Result<(), RunError> {
    let ours = Identity { network, node_id: node.node_id(), secret_fingerprint: secret.fingerprint() };
    let stored = identity::get_or_insert(rows, &ours).await?;
    if stored.network != ours.network {
        return Err(RunError::ForeignSchema("network"));
    }
    if stored.node_id != ours.node_id {
        return Err(RunError::ForeignSchema("node"));
    }
    if stored.secret_fingerprint != ours.secret_fingerprint {
        return Err(RunError::ForeignSchema("preimage secret"));
    }
    Ok(())
}

/// Runs the service until the stop.
///
/// The folder's lock and the database's writer lock are taken before the node is built, and given up after it has
/// stopped: two live copies of channel state lose funds.
pub async fn run(config: Config, shutdown: Shutdown) -> Result<(), RunError> {
    config.validate()?;
    let data_dir = DataDir::lock(&config.data_dir)?;
    let rows = Rows::connect(&config.store).await?;
    let may_create = identity::stored(&rows).await?.is_none();
    let secret = data_dir.preimage_secret(config.preimage_secret.as_ref(), may_create)?;
    let node: Arc<dyn LightningNode> = Arc::new(LdkNode::start(node_config(&config, &data_dir)).await?);
    let outcome = serve(&config, rows, Arc::clone(&node), secret, shutdown).await;
    node.stop().await;
    outcome
}

async fn serve(
    config: &Config,
    rows: Rows,
    node: Arc<dyn LightningNode>,
    secret: PreimageSecret,
    shutdown: Shutdown,
) -> Result<(), RunError> {
    let health = Health::new();
    let server = Server::bind(NAME, &config.platform, health.clone()).await?;
    let tasks = Tasks::new(shutdown.clone(), config.platform.grace_period);
    let log = config.audit.as_ref().map(AuditClient::new).transpose()?;
    let log = log.map(|log| Arc::new(log) as Arc<dyn PayoutLog>);
    let app = App::start(config, rows, node, secret, log, shutdown).await?;
    app.spawn(&tasks, &health);
    server.spawn(&tasks, &[rpc::SERVICE_NAME], rpc::routes(app));
    tasks.join().await?;
    Ok(())
}

fn node_config(config: &Config, data_dir: &DataDir) -> LdkNodeConfig {
    LdkNodeConfig {
        storage_dir: data_dir.node_dir(),
        network: config.network,
        rpc_host: config.bitcoind_rpc_host.clone(),
        rpc_port: config.bitcoind_rpc_port,
        rpc_user: config.bitcoind_rpc_user.clone(),
        rpc_password: config.bitcoind_rpc_password.clone(),
        listen_addresses: config.listen_addresses.clone(),
        alias: config.node_alias.clone(),
    }
}
