//! One world for most tests: bitcoind, PostgreSQL, the service over its node, and a payer with a channel to it.
//!
//! Opening a channel takes ten seconds, so it is done once. Tests that only make and settle invoices share the
//! world; tests that mine, restart, or compare the payer's balance have it alone: blocks move everybody's deadlines.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::{Arc, LazyLock};

use ailayer_devnet::{Bitcoind, DataDir, FreePort, Postgres, free_port};
use ailayer_payer::Payer;
use ailayer_payment::Config;
use ailayer_payment::adapters::ldk_node::LdkNode;
use ailayer_payment::ports::LightningNode;
use ailayer_proto::ailayer::payment::v1::{self as pb, HoldInvoiceState};
use bitcoin::Address;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, RwLock};

use crate::nodes::{PATIENCE, PRICE_MSAT, config, open_channel, pay, start_node, start_payer};
use crate::running::{Running, until};

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
        open_channel(&bitcoind, &payer, &node.node_id().serialize(), own_address, &lightning).await;
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
