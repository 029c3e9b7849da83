//! `kill -9` behind every durable write: the service's own process dies there, and after its restart the money is
//! where it should be. The payer's node is the judge.
//!
//! A node that dies within the few milliseconds after a claim was handed to it finds, at its next start, that its
//! channel monitor is newer than its channel manager, and closes the channel by force: the claim then ends on chain,
//! by the preimage in the monitor. So the amounts here are far above dust, and blocks are mined until it is over.

use std::sync::Arc;
use std::time::Duration;

use ailayer_client::payment::{EventKind, HoldInvoice, HoldInvoiceState as State};
use ailayer_client::{ClientConfig, PaymentClient};
use ailayer_devnet::{Bitcoind, DataDir, FreePort, Postgres, Process, ProcessSpec, free_port};
use ailayer_payer::Payer;
use ailayer_payment::{Config, NAME};
use ailayer_platform::config::load;
use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::{AmountMsat, Digest};
use futures::StreamExt as _;
use uuid::Uuid;

use crate::nodes::{PATIENCE, config_text, money_back, money_taken, open_channel, pay, start_payer};
use crate::running::until;
use crate::world::alone;

/// Large enough to be an output of its own on chain.
const PRICE_MSAT: u64 = 20_000_000;
/// How long a payment may take while its channel lives.
const OFF_CHAIN: Duration = Duration::from_secs(5);
/// Names the configuration file for [`service_process`].
const CONFIG_VARIABLE: &str = "AILAYER_PAYMENT_TEST_CONFIG";

/// Not a test by itself: this test binary, started again with the variable set, is the service.
#[test]
fn service_process() {
    let Some(file) = std::env::var_os(CONFIG_VARIABLE) else { return };
    let config: Config = load(NAME, Some(file.as_ref())).unwrap();
    alone(async || {
        let _telemetry = ailayer_platform::telemetry::init(NAME, &config.platform.telemetry).unwrap();
        ailayer_payment::run(config, Shutdown::on_signals().unwrap()).await.unwrap();
    });
}

struct World {
    bitcoind: Bitcoind,
    payer: Payer,
    process: Process,
    client: PaymentClient,
    lightning: FreePort,
    _grpc: FreePort,
    _data_dir: DataDir,
}

impl World {
    async fn make() -> Self {
        let data_dir = DataDir::temporary().unwrap();
        let bitcoind = Bitcoind::start().await.unwrap();
        let (lightning, grpc) = (free_port().unwrap(), free_port().unwrap());
        let database = Postgres::shared().await.unwrap().create_database().await.unwrap();
        let folder = data_dir.subfolder("payment").unwrap();
        let listen = format!("platform.server.listen = \"{}\"", grpc.address());
        let file = data_dir.path().join("ailayer.toml");
        std::fs::write(&file, config_text(&folder, &bitcoind, &lightning, &database, &listen)).unwrap();
        let spec =
            ProcessSpec::new("payment", std::env::current_exe().unwrap(), data_dir.log_file("payment"))
                .args(["--exact", "crash::service_process", "--nocapture"])
                .env(CONFIG_VARIABLE, &file);
        let client = PaymentClient::new(&ClientConfig::new(format!("http://{}", grpc.address()))).unwrap();
        let payer = start_payer(&data_dir.subfolder("payer").unwrap(), &bitcoind).await;
        let world = Self {
            bitcoind,
            payer,
            process: Process::new(spec),
            client,
            lightning,
            _grpc: grpc,
            _data_dir: data_dir,
        };
        world.process.start().unwrap();
        world.open_channel().await;
        world
    }

    async fn open_channel(&self) {
        let node = self.wait_synced().await;
        let address = self.client.create_address().await.unwrap().parse::<bitcoin::Address<_>>().unwrap();
        open_channel(&self.bitcoind, &self.payer, &node, address.assume_checked(), &self.lightning).await;
    }

    async fn wait_synced(&self) -> [u8; 33] {
        until("the service", async || {
            self.process.check_running().map_err(|error| error.to_string())?;
            let node = self.client.node().await.map_err(|error| error.to_string())?;
            if node.synced { Ok(node.node_id) } else { Err("not synced".to_owned()) }
        })
        .await
    }

    /// Starts the service, to die at `point` if one is given, and connects the payer's node again.
    async fn start(&self, point: Option<&str>) {
        let point = point.map(|point| ("AILAYER_CRASH_POINT".into(), point.into()));
        self.process.start_with_env(point.as_slice()).unwrap();
        let node = self.wait_synced().await;
        self.payer.connect(&node, &self.lightning.address().to_string()).await.unwrap();
    }

    async fn wait_usable(&self) {
        self.payer.wait_channel_usable(PRICE_MSAT, PATIENCE).await.unwrap();
    }

    /// Waits for the end of a payment, on chain if it comes to that: a claim takes a few blocks, and money that is not
    /// claimed comes back when the HTLC times out, some 160 blocks later.
    async fn wait_end(&self, bolt11: &str) {
        let hash = Payer::payment_hash(bolt11).unwrap();
        let mut rounds = 0;
        until("the payment's end", async || {
            if self.payer.wait_payment(hash, OFF_CHAIN).await.is_ok() {
                return Ok(());
            }
            rounds += 1;
            let blocks = if rounds <= 3 { 10 } else { 40 };
            self.bitcoind.mine(blocks).await.map_err(|error| error.to_string())?;
            Err(format!("{rounds} rounds of blocks"))
        })
        .await;
    }

    async fn wait_killed(&self) {
        let status = self.process.wait_for_exit(PATIENCE).await.unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status:?}");
    }

    async fn create(&self, id: Uuid) -> Result<HoldInvoice, ailayer_client::CallError> {
        let price = AmountMsat::try_new(PRICE_MSAT).unwrap();
        self.client.create_hold_invoice(id, price, Digest::new([2; 32]), 600).await
    }

    async fn wait_state(&self, id: Uuid, state: State) {
        until(&format!("{state:?}"), async || {
            let invoice = self.client.hold_invoice(id).await.map_err(|error| error.to_string())?;
            if invoice.state == state { Ok(()) } else { Err(format!("{:?}", invoice.state)) }
        })
        .await;
    }

    async fn accepted(&self) -> HoldInvoice {
        let open = self.create(Uuid::new_v4()).await.unwrap();
        pay(&self.payer, &open.bolt11).await;
        self.wait_state(open.invoice_id, State::Accepted).await;
        open
    }

    /// Waits until the channels hold what the rows say, closed ones counted with what they held.
    async fn books_agree(&self, point: &str) {
        until(&format!("books that agree behind {point}"), async || {
            let compared = self.client.compare_funds().await.map_err(|error| error.to_string())?;
            let agree = compared.residue_msat == 0 && compared.unknown_channels == 0;
            if agree { Ok(()) } else { Err(format!("{compared:?}")) }
        })
        .await;
    }

    /// What the log says of one hold invoice.
    async fn states_in_log(&self, id: Uuid) -> Vec<State> {
        let mut events = self.client.watch_events(0).await.unwrap();
        let mut states = Vec::new();
        while let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(300), events.next()).await {
            states.extend(
                hold_invoice(event.unwrap().kind).filter(|it| it.invoice_id == id).map(|it| it.state),
            );
        }
        states
    }
}

fn hold_invoice(event: EventKind) -> Option<HoldInvoice> {
    match event {
        EventKind::HoldInvoiceAccepted(invoice)
        | EventKind::HoldInvoiceClaimed(invoice)
        | EventKind::HoldInvoiceReleased(invoice)
        | EventKind::HoldInvoiceLost(invoice)
        | EventKind::HoldInvoiceExpired(invoice) => Some(invoice),
        _ => None,
    }
}

#[test]
fn killed_behind_every_write_the_money_is_where_it_should_be() {
    alone(async || {
        let world = Arc::new(World::make().await);
        for point in ["payment.p2.intent", "payment.p2.open"] {
            killed_while_creating(&world, point).await;
            world.books_agree(point).await;
        }
        killed_when_accepting(&world).await;
        world.books_agree("payment.p3.accepted").await;
        for point in ["payment.p9.claim_requested", "payment.p9.after_claim_call", "payment.p10.claimed"] {
            killed_while_claiming(&world, point).await;
            world.books_agree(point).await;
        }
        for point in ["payment.r2.release_requested", "payment.r2.after_fail_call", "payment.r3.released"] {
            killed_while_releasing(&world, point).await;
            world.books_agree(point).await;
        }
        world.process.stop().await.unwrap();
    });
}

/// Starts the service again with a usable channel, to die at `point`.
async fn restart_with(world: &World, point: &str) {
    if !world.payer.has_channel() {
        world.open_channel().await;
    }
    world.process.stop().await.unwrap();
    world.start(Some(point)).await;
    world.wait_usable().await;
}

/// The caller never saw the text; its repeat finishes what was begun.
async fn killed_while_creating(world: &World, point: &str) {
    restart_with(world, point).await;
    let id = Uuid::new_v4();
    assert!(world.create(id).await.is_err(), "{point}");
    world.wait_killed().await;
    world.start(None).await;
    let open = world.create(id).await.unwrap();
    assert_eq!(open.state, State::Open, "{point}");
    world.wait_usable().await;
    pay(&world.payer, &open.bolt11).await;
    world.wait_state(id, State::Accepted).await;
    world.client.claim_hold_invoice(id).await.unwrap();
    money_taken(&world.payer, &open.bolt11).await;
    world.wait_state(id, State::Claimed).await;
    assert_eq!(world.states_in_log(id).await, [State::Accepted, State::Claimed], "{point}");
}

/// The node tells again, and the row says that it is known.
async fn killed_when_accepting(world: &World) {
    restart_with(world, "payment.p3.accepted").await;
    let open = world.create(Uuid::new_v4()).await.unwrap();
    pay(&world.payer, &open.bolt11).await;
    world.wait_killed().await;
    world.start(None).await;
    world.wait_state(open.invoice_id, State::Accepted).await;
    world.client.claim_hold_invoice(open.invoice_id).await.unwrap();
    money_taken(&world.payer, &open.bolt11).await;
    world.wait_state(open.invoice_id, State::Claimed).await;
    assert_eq!(world.states_in_log(open.invoice_id).await, [State::Accepted, State::Claimed]);
}

/// The authorisation is durable: the service claims by itself.
async fn killed_while_claiming(world: &World, point: &str) {
    restart_with(world, point).await;
    let accepted = world.accepted().await;
    let _ = world.client.claim_hold_invoice(accepted.invoice_id).await;
    world.wait_killed().await;
    world.start(None).await;
    world.wait_end(&accepted.bolt11).await;
    money_taken(&world.payer, &accepted.bolt11).await;
    world.wait_state(accepted.invoice_id, State::Claimed).await;
    assert_eq!(world.states_in_log(accepted.invoice_id).await, [State::Accepted, State::Claimed], "{point}");
}

/// The release is durable: the service gives back by itself.
async fn killed_while_releasing(world: &World, point: &str) {
    restart_with(world, point).await;
    let accepted = world.accepted().await;
    let _ = world.client.release_hold_invoice(accepted.invoice_id, "model_failed").await;
    world.wait_killed().await;
    world.start(None).await;
    world.wait_end(&accepted.bolt11).await;
    money_back(&world.payer, &accepted.bolt11).await;
    world.wait_state(accepted.invoice_id, State::Released).await;
    assert_eq!(world.states_in_log(accepted.invoice_id).await, [State::Accepted, State::Released], "{point}");
}
