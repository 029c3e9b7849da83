//! A database of its own, the sides around the gateways, and gateways that reach it through proxies that cut at COMMIT.

mod databases;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ailayer_client::payment::HoldInvoiceState;
use ailayer_devnet::Postgres;
use ailayer_gateway::app::Settings;
use ailayer_gateway::domain::job::Rules;
use ailayer_platform::tasks::{Shutdown, Tasks};
use ailayer_store::StoreConfig;
use futures::future::join_all;
use tokio::sync::{Mutex, MutexGuard};

use super::plan::Plan;
use crate::fakes::payments::FakePayments;
use crate::ledger::bank::Random;
use crate::ledger::proxy::{Plan as Cuts, Proxy};
use crate::world::{Line, Process, World, settings};

/// Of every so many commits the connection of one is cut.
const CUT_ONE_IN: u64 = 6;
/// A killed gateway's jobs are taken over soon. A lease that lapses under a slow machine does no harm.
const LEASE: Duration = Duration::from_millis(400);

pub struct Town {
    pub world: World,
    pub seed: u64,
    gateways: Vec<Gateway>,
    kills: AtomicU64,
    stop: Shutdown,
}

struct Gateway {
    process: Mutex<Option<Process>>,
    proxy: Proxy,
    url: String,
}

impl Town {
    pub async fn new(seed: u64, plan: &Plan) -> Self {
        let url = databases::empty().await;
        let mut world = World::on(url.clone()).await;
        world.settings = settings_of(plan);
        world.payments.set(|mood| (mood.slow_claims, mood.slow_releases) = (true, true));

        let stop = Shutdown::new();
        let tasks = Arc::new(Tasks::new(stop.clone(), Duration::from_secs(1)));
        tasks.spawn("node", node(world.payments.clone(), Random(seed), stop.clone()));
        let port = Postgres::shared().await.unwrap().port();
        let mut gateways = Vec::new();
        for _ in 0..plan.gateways {
            let proxy = Proxy::start(port, &tasks).await;
            let url = url.replace(&format!(":{port}/"), &format!(":{}/", proxy.port));
            gateways.push(Gateway { process: Mutex::default(), proxy, url });
        }
        join_all(gateways.iter().map(|gateway| gateway.start(&world))).await;
        Self { world, seed, gateways, kills: AtomicU64::new(0), stop }
    }

    pub fn gateways(&self) -> usize {
        self.gateways.len()
    }

    /// A way to call some gateway; none while it is being started again.
    pub async fn line(&self, number: usize) -> Option<Line> {
        let gateway = &self.gateways[number % self.gateways.len()];
        gateway.process.lock().await.as_ref().map(Process::line)
    }

    /// As by `kill -9`, and another one in its place.
    pub async fn kill(&self, number: usize) {
        let gateway = &self.gateways[number % self.gateways.len()];
        let Some(process) = gateway.process.lock().await.take() else { return };
        process.kill();
        self.kills.fetch_add(1, Ordering::SeqCst);
        gateway.start(&self.world).await;
    }

    pub fn kills(&self) -> u64 {
        self.kills.load(Ordering::SeqCst)
    }

    pub fn cuts(&self) -> u64 {
        self.gateways.iter().map(|gateway| gateway.proxy.cuts()).sum()
    }

    /// The first gateway, before anything is cut or killed.
    pub async fn office(&self) -> MutexGuard<'_, Option<Process>> {
        self.gateways[0].process.lock().await
    }

    pub fn begin_cutting(&self) {
        for (gateway, number) in self.gateways.iter().zip(1..) {
            let random = Random(self.seed.wrapping_mul(31).wrapping_add(number));
            gateway.proxy.set(Cuts::OneIn(CUT_ONE_IN, random));
        }
    }

    /// Nothing is cut any more.
    pub fn stop_cutting(&self) {
        for gateway in &self.gateways {
            gateway.proxy.set(Cuts::Never);
        }
    }

    /// Ends everything that belongs to it. Another town may have the database.
    pub async fn leave(self) {
        for gateway in &self.gateways {
            drop(gateway.process.lock().await.take());
        }
        self.stop.trigger();
        self.world.store.close().await;
        databases::give_back(self.world.url).await;
    }
}

impl Gateway {
    /// The start itself may be cut.
    async fn start(&self, world: &World) {
        let mut process = self.process.lock().await;
        while process.is_none() {
            let config = StoreConfig { max_connections: 3, ..StoreConfig::new(&self.url) };
            *process = world.try_start(world.settings.clone(), config).await.ok();
        }
    }
}

fn settings_of(plan: &Plan) -> Settings {
    let usual = settings();
    Settings {
        rules: Rules { append_timeout_ms: plan.append_timeout_ms, ..usual.rules },
        lease: LEASE,
        max_running_jobs: 16,
        ..usual
    }
}

/// What was asked of the Lightning node comes true a little later: most claims succeed, some find the money gone.
async fn node(payments: Arc<FakePayments>, mut random: Random, stop: Shutdown) {
    while !stop.is_cancelled() {
        for id in payments.in_state(HoldInvoiceState::ClaimRequested) {
            match random.below(8) {
                0 => payments.claim_is_lost(id),
                1..=2 => {}
                _ => payments.claim_succeeds(id),
            }
        }
        for id in payments.in_state(HoldInvoiceState::ReleaseRequested) {
            if random.below(4) > 0 {
                payments.finish_release(id);
            }
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}
