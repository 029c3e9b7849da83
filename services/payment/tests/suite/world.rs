//! One world for most tests: bitcoind, PostgreSQL, the service over its node, and a payer with a channel to it.
//!
//! Opening a channel takes ten seconds, so it is done once. Tests that only make and settle invoices share the
//! world; tests that mine, restart, or compare the payer's balance have it alone: blocks move everybody's deadlines.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use ailayer_devnet::{Bitcoind, DataDir, FreePort, Postgres, free_port};
use ailayer_payer::{Payer, PayerConfig, PaymentOutcome};
use ailayer_payment::adapters::ldk_node::{LdkNode, LdkNodeConfig};
use ailayer_payment::app::App;
use ailayer_payment::domain::preimage::PreimageSecret;
use ailayer_payment::ports::LightningNode;
use ailayer_payment::rpc::Handler;
use ailayer_payment::store::Rows;
use ailayer_payment::{Config, NAME};
use ailayer_platform::config::{Secret, load_from};
use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_platform::health::Health;
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_primitives::{AmountMsat, Network, PaymentHash};
use ailayer_proto::ailayer::payment::v1::payment_service_server::PaymentService as _;
use ailayer_proto::ailayer::payment::v1::{self as pb, HoldInvoiceState};
use bitcoin::Address;
use futures::StreamExt as _;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock};
use tonic::{Request, Status};
use uuid::Uuid;

/// What is long enough for anything here.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The price of an ordinary invoice.
pub const PRICE_MSAT: u64 = 21_000;
const CHANNEL_SAT: u64 = 1_500_000;
const PUSH_MSAT: u64 = 300_000_000;

/// All tests share one runtime: nodes and pools outlive the test that made them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
});
static WORLD: OnceCell<RwLock<World>> = OnceCell::const_new();

/// Runs a test that needs no world.
pub fn alone(test: impl AsyncFnOnce()) {
    RUNTIME.block_on(test());
}

/// Runs a test beside others.
pub fn shared(test: impl AsyncFnOnce(&World)) {
    RUNTIME.block_on(async {
        let world = WORLD.get_or_init(World::make).await.read().await;
        test(&world).await;
    });
}

/// Runs a test that mines, restarts, or looks at balances.
pub fn exclusive(test: impl AsyncFnOnce(&mut World)) {
    RUNTIME.block_on(async {
        let mut world = WORLD.get_or_init(World::make).await.write().await;
        world.rest().await;
        test(&mut world).await;
        world.rest().await;
    });
}

/// The service over a node, without its wire.
pub struct Running {
    pub app: Arc<App>,
    pub api: Handler,
    tasks: Tasks,
}

impl Running {
    pub async fn start(config: &Config, node: Arc<dyn LightningNode>) -> Self {
        let rows = Rows::connect(&config.store).await.unwrap();
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone(), Duration::from_secs(10));
        let app = App::start(config, rows, node, PreimageSecret::new([7; 32]), shutdown).await.unwrap();
        app.spawn(&tasks, &Health::new());
        Self { api: Handler::new(Arc::clone(&app)), app, tasks }
    }

    /// Ends the tasks and gives the right to write back. The node goes on.
    pub async fn stop(self) {
        self.tasks.shutdown_token().trigger();
        self.tasks.join().await.unwrap();
        self.app.rows.close().await;
    }

    pub async fn create(&self, amount_msat: u64) -> pb::HoldInvoice {
        self.try_create(&request(Uuid::new_v4(), amount_msat, 600)).await.unwrap()
    }

    pub async fn try_create(
        &self,
        request: &pb::CreateHoldInvoiceRequest,
    ) -> Result<pb::HoldInvoice, Status> {
        let answer = self.api.create_hold_invoice(Request::new(request.clone())).await?;
        Ok(answer.into_inner().invoice.unwrap())
    }

    pub async fn get(&self, id: &str) -> pb::HoldInvoice {
        let name = Some(pb::get_hold_invoice_request::Name::InvoiceId(id.to_owned()));
        let answer = self.api.get_hold_invoice(Request::new(pb::GetHoldInvoiceRequest { name })).await;
        answer.unwrap().into_inner().invoice.unwrap()
    }

    pub async fn claim(&self, id: &str) -> Result<pb::HoldInvoice, Status> {
        let request = pb::ClaimHoldInvoiceRequest { invoice_id: id.to_owned() };
        Ok(self.api.claim_hold_invoice(Request::new(request)).await?.into_inner().invoice.unwrap())
    }

    pub async fn release(&self, id: &str, reason: &str) -> Result<pb::HoldInvoice, Status> {
        let request = pb::ReleaseHoldInvoiceRequest { invoice_id: id.to_owned(), reason: reason.to_owned() };
        Ok(self.api.release_hold_invoice(Request::new(request)).await?.into_inner().invoice.unwrap())
    }

    pub async fn pay(&self, bolt11: &str, max_amount_msat: u64) -> Result<pb::Payment, Status> {
        let request = pb::PayInvoiceRequest { bolt11: bolt11.to_owned(), max_amount_msat };
        Ok(self.api.pay_invoice(Request::new(request)).await?.into_inner().payment.unwrap())
    }

    pub async fn payment(&self, payment_hash: &[u8]) -> pb::Payment {
        let request = pb::GetPaymentRequest { payment_hash: payment_hash.to_vec() };
        self.api.get_payment(Request::new(request)).await.unwrap().into_inner().payment.unwrap()
    }

    pub async fn wait_state(&self, id: &str, state: HoldInvoiceState) -> pb::HoldInvoice {
        until(&format!("hold invoice {state:?}"), async || {
            let invoice = self.get(id).await;
            if invoice.state() == state { Ok(invoice) } else { Err(format!("{:?}", invoice.state())) }
        })
        .await
    }

    pub async fn wait_payment(&self, payment_hash: &[u8], state: pb::PaymentState) -> pb::Payment {
        until(&format!("payment {state:?}"), async || {
            let payment = self.payment(payment_hash).await;
            if payment.state() == state { Ok(payment) } else { Err(format!("{:?}", payment.state())) }
        })
        .await
    }

    pub async fn wait_synced(&self) {
        until("the node in sync", async || {
            let node = self.api.get_node(Request::new(pb::GetNodeRequest {})).await.unwrap().into_inner();
            if node.synced { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
    }

    /// Everything the log says after a cursor, now.
    pub async fn events_after(&self, after_cursor: u64) -> Vec<pb::WatchEventsResponse> {
        let request = Request::new(pb::WatchEventsRequest { after_cursor });
        let mut stream = self.api.watch_events(request).await.unwrap().into_inner();
        let mut events = Vec::new();
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(300), stream.next()).await {
            events.push(event.unwrap());
        }
        events
    }

    /// What the log says about one hold invoice, in order.
    pub async fn states_in_log(&self, id: &str) -> Vec<HoldInvoiceState> {
        let events = self.events_after(0).await;
        let about =
            events.iter().filter_map(|event| hold_invoice(event)).filter(|invoice| invoice.invoice_id == id);
        about.map(pb::HoldInvoice::state).collect()
    }
}

pub fn hold_invoice(event: &pb::WatchEventsResponse) -> Option<&pb::HoldInvoice> {
    use pb::watch_events_response::Event;
    match event.event.as_ref()? {
        Event::HoldInvoiceAccepted(invoice)
        | Event::HoldInvoiceClaimed(invoice)
        | Event::HoldInvoiceReleased(invoice)
        | Event::HoldInvoiceLost(invoice)
        | Event::HoldInvoiceExpired(invoice) => Some(invoice),
        _ => None,
    }
}

pub struct World {
    pub bitcoind: Bitcoind,
    pub config: Config,
    pub payer: Payer,
    pub node: Arc<LdkNode>,
    running: Option<Running>,
    lightning: FreePort,
    data_dir: DataDir,
}

impl World {
    async fn make() -> RwLock<Self> {
        let data_dir = DataDir::temporary().unwrap();
        let bitcoind = Bitcoind::start().await.unwrap();
        let lightning = free_port().unwrap();
        let database = Postgres::shared().await.unwrap().create_database().await.unwrap();
        let config = config(&data_dir.subfolder("payment").unwrap(), &bitcoind, &lightning, &database, "");
        let node = start_node(&config).await;
        let payer = start_payer(&data_dir.subfolder("payer").unwrap(), &bitcoind).await;
        let own_address = Address::from_str(&node.new_address().await.unwrap()).unwrap().assume_checked();
        connect_with_channel(&bitcoind, &payer, &node, own_address, &lightning).await;
        let running = Some(Running::start(&config, Arc::clone(&node) as Arc<dyn LightningNode>).await);
        let world = Self { bitcoind, config, payer, node, running, lightning, data_dir };
        world.wait_synced().await;
        RwLock::new(world)
    }

    /// Waits until nothing is in flight, so that balances stand still and blocks hurt nobody.
    async fn rest(&self) {
        until("no hold in flight", async || {
            let counts = self.app.holds.counts().await.unwrap();
            if counts.accepted == 0 { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await;
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.data_dir.subfolder(name).unwrap()
    }

    /// Stops the service, its node apart, and hands the node to `test`.
    pub async fn without_service(&mut self, test: impl AsyncFnOnce(&Self)) {
        self.running.take().unwrap().stop().await;
        test(self).await;
        let node = Arc::clone(&self.node) as Arc<dyn LightningNode>;
        self.running = Some(Running::start(&self.config, node).await);
    }

    /// Stops service and node, and starts both again on the same data.
    pub async fn restart(&mut self) {
        self.running.take().unwrap().stop().await;
        self.node.stop().await;
        self.node = start_node(&self.config).await;
        let node = Arc::clone(&self.node) as Arc<dyn LightningNode>;
        self.running = Some(Running::start(&self.config, node).await);
        self.wait_synced().await;
        let address = self.lightning.address().to_string();
        self.payer.connect(&self.node.node_id().serialize(), &address).await.unwrap();
        self.payer.wait_channel_usable(PRICE_MSAT, PATIENCE).await.unwrap();
    }

    /// Creates an invoice, pays it, and waits until the money is held.
    pub async fn accepted(&self) -> pb::HoldInvoice {
        let open = self.create(PRICE_MSAT).await;
        pay(&self.payer, &open.bolt11).await;
        self.wait_state(&open.invoice_id, HoldInvoiceState::Accepted).await
    }

    pub async fn mine(&self, blocks: u32) {
        self.bitcoind.mine(blocks).await.unwrap();
        let tip = self.bitcoind.tip().await.unwrap();
        self.payer.wait_height(tip.height, PATIENCE).await.unwrap();
        until("the node at the tip", async || {
            let height = self.node.status().tip.height;
            if height >= tip.height { Ok(()) } else { Err(format!("{height} of {}", tip.height)) }
        })
        .await;
    }
}

impl std::ops::Deref for World {
    type Target = Running;
    fn deref(&self) -> &Running {
        self.running.as_ref().unwrap()
    }
}

pub fn config(
    data_dir: &std::path::Path,
    bitcoind: &Bitcoind,
    lightning: &FreePort,
    database: &str,
    more: &str,
) -> Config {
    let text = config_text(data_dir, bitcoind, lightning, database, more);
    load_from(NAME, Some(&text), []).unwrap()
}

pub fn config_text(
    data_dir: &std::path::Path,
    bitcoind: &Bitcoind,
    lightning: &FreePort,
    database: &str,
    more: &str,
) -> String {
    format!(
        r#"
        [payment]
        network = "regtest"
        data_dir = "{}"
        bitcoind_rpc_port = {}
        bitcoind_rpc_user = "{}"
        bitcoind_rpc_password = "{}"
        listen_addresses = ["{}"]
        node_alias = "test"
        guard_interval = "200ms"
        lost_settle_time = "2s"
        store.url = "{database}"
        {more}
        "#,
        data_dir.display(),
        bitcoind.rpc_port(),
        bitcoind.rpc_user(),
        bitcoind.rpc_password(),
        lightning.address(),
    )
}

pub async fn start_node(config: &Config) -> Arc<LdkNode> {
    let node = LdkNode::start(LdkNodeConfig {
        storage_dir: config.data_dir.join("ldk"),
        network: Network::Regtest,
        rpc_host: config.bitcoind_rpc_host.clone(),
        rpc_port: config.bitcoind_rpc_port,
        rpc_user: config.bitcoind_rpc_user.clone(),
        rpc_password: config.bitcoind_rpc_password.clone(),
        listen_addresses: config.listen_addresses.clone(),
        alias: config.node_alias.clone(),
    });
    Arc::new(node.await.unwrap())
}

pub async fn start_payer(folder: &std::path::Path, bitcoind: &Bitcoind) -> Payer {
    let started = Payer::start(PayerConfig {
        data_dir: folder.to_owned(),
        network: Network::Regtest,
        rpc_host: "127.0.0.1".to_owned(),
        rpc_port: bitcoind.rpc_port(),
        rpc_user: bitcoind.rpc_user().to_owned(),
        rpc_password: Secret::new(bitcoind.rpc_password().to_owned()),
        listen: None,
    });
    started.await.unwrap()
}

/// Funds both sides and opens a channel from the payer, with some money on the other side.
async fn connect_with_channel(
    bitcoind: &Bitcoind,
    payer: &Payer,
    node: &LdkNode,
    own_address: Address,
    lightning: &FreePort,
) {
    let node_id = node.node_id().serialize();
    open_channel(bitcoind, payer, &node_id, own_address, lightning).await;
}

/// The same for a node that is known by its id and an address of its wallet.
pub async fn open_channel(
    bitcoind: &Bitcoind,
    payer: &Payer,
    node_id: &[u8; 33],
    own_address: Address,
    lightning: &FreePort,
) {
    let payer_address = payer.new_address().await.unwrap();
    bitcoind.fund_many(&[(payer_address, 3_000_000), (own_address, 2_000_000)]).await.unwrap();
    bitcoind.mine(1).await.unwrap();
    payer.wait_funds(CHANNEL_SAT, PATIENCE).await.unwrap();
    let address = lightning.address().to_string();
    // The other side accepts only once it sees its own coins: it needs them as anchor reserve.
    until("a channel", async || {
        payer
            .open_channel(node_id, &address, CHANNEL_SAT, PUSH_MSAT)
            .await
            .map_err(|error| error.to_string())?;
        payer.wait_funding(Duration::from_secs(3)).await.map_err(|error| error.to_string())
    })
    .await;
    until("the funding transaction in the mempool", async || {
        let mempool = bitcoind.call("getrawmempool", Default::default()).await.unwrap();
        if mempool.as_array().is_some_and(|all| !all.is_empty()) { Ok(()) } else { Err(mempool.to_string()) }
    })
    .await;
    bitcoind.mine(6).await.unwrap();
    payer.wait_channel_usable(PRICE_MSAT, PATIENCE).await.unwrap();
}

pub fn request(id: Uuid, amount_msat: u64, expiry_s: u32) -> pb::CreateHoldInvoiceRequest {
    pb::CreateHoldInvoiceRequest {
        invoice_id: id.to_string(),
        amount_msat,
        description_hash: vec![9; 32],
        expiry_s,
    }
}

pub async fn pay(payer: &Payer, bolt11: &str) -> PaymentHash {
    payer.pay(bolt11, AmountMsat::MAX).await.unwrap();
    Payer::payment_hash(bolt11).unwrap()
}

/// Waits until the payer's node says that the payment failed, and why.
pub async fn money_back(payer: &Payer, bolt11: &str) -> String {
    let hash = Payer::payment_hash(bolt11).unwrap();
    match payer.wait_payment(hash, PATIENCE).await.unwrap() {
        PaymentOutcome::Failed { reason } => reason,
        PaymentOutcome::Succeeded { .. } => panic!("the money was taken"),
    }
}

/// Waits until the payer's node has the proof of payment.
pub async fn money_taken(payer: &Payer, bolt11: &str) -> [u8; 32] {
    let hash = Payer::payment_hash(bolt11).unwrap();
    match payer.wait_payment(hash, PATIENCE).await.unwrap() {
        PaymentOutcome::Succeeded { preimage, .. } => preimage.unwrap(),
        PaymentOutcome::Failed { reason } => panic!("the payment failed: {reason}"),
    }
}

#[track_caller]
pub fn assert_reason<T: std::fmt::Debug>(outcome: Result<T, Status>, reason: ErrorReason) {
    let status = outcome.expect_err("should have been refused");
    assert_eq!(reason_of(&status), Some(reason), "{status:?}");
}

/// Tries until it holds; says what was wrong last if it never does.
pub async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match holds().await {
            Ok(value) => return value,
            Err(last) if began.elapsed() > PATIENCE => panic!("waited in vain for {what}: {last}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
