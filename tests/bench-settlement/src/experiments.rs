//! The measurements, one file a group of definitions that share their arms.
//!
//! | module | figures |
//! |---|---|
//! | [`throughput`], [`tail`], [`growth`] | the ledger as a library on a PostgreSQL: L1, L2, L4; L3; K1 |
//! | [`hop`], [`null_ledger`], [`capacity`], [`exporting`] | the gateway with a model that does nothing: G1; G2; G3; G4 |
//! | [`paid`] | the platform with a real model: E1 |

pub mod capacity;
pub mod exporting;
pub mod growth;
pub mod hop;
pub mod null_ledger;
pub mod paid;
pub mod tail;
pub mod throughput;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ailayer_bench::args::Pace;
use ailayer_bench::client::Client;
use ailayer_bench::generator::{Refused, closed_loop};
use ailayer_bench::null::MODEL;
use ailayer_bench::run::{Done, Window, rate};
use ailayer_bench::schedule::poisson;
use ailayer_bench::statistics::median;
use anyhow::ensure;

use crate::customers::Shop;
use crate::database::Database;
use crate::platform::{Platform, is_null_answer};

/// What the measurements of the ledger have in common.
pub struct Ground {
    /// The server.
    pub database: Database,
    /// Lengths and counts.
    pub pace: Pace,
}

/// Operations in flight, as pgbench has connections.
pub const IN_FLIGHT: usize = 32;
/// The share of an arm's length that each arm of the gateway's figures gets: there are many.
const SHORTER: f64 = 0.6;
/// How long saturation is looked at, also in a quick look: a gateway that has just started needs a moment.
const CALIBRATION: Duration = Duration::from_secs(2);
/// What is embedded where the model does nothing: sixteen words.
const TEXT: &str = "the quick brown fox jumps over the lazy dog and pays a little for every word";

/// One call through a shop, whose answer must be the null model's.
async fn buy(shop: &Shop<'_>, call: usize, since: Instant) -> anyhow::Result<Done> {
    let bought = shop.run(call, TEXT).await?;
    ensure!(is_null_answer(&bought.values), "another answer than the model's");
    Ok(Done { at: bought.at, count: 1, latency: bought.at.saturating_duration_since(since) })
}

/// One call of the null model itself.
async fn ask(model: &Client, call: usize, since: Instant) -> anyhow::Result<Done> {
    let answer = model.embed(call, TEXT, None).await?;
    let answer = answer.map_err(|code| Refused(format!("{code:?}")))?;
    ensure!(is_null_answer(&answer.values), "another answer than the model's");
    Ok(answer.since(since))
}

/// Arrivals by chance at a share of what a shop takes at most. That is looked at anew before every round, because a machine's speed
/// may halve within a minute: what was half of the load a minute ago may be more than all of it. All arms of a round get the same.
struct Arrivals<'a> {
    of: &'a Shop<'a>,
    share: f64,
    seed: u64,
    length: Duration,
    arms: usize,
    rounds: RefCell<Rounds>,
}

#[derive(Default)]
struct Rounds {
    runs: usize,
    trace: Rc<[Duration]>,
    at_most: Vec<f64>,
}

impl<'a> Arrivals<'a> {
    /// For rounds of so many arms.
    fn new(of: &'a Shop<'a>, share: f64, seed: u64, pace: &Pace, arms: usize) -> Self {
        Self { of, share, seed, length: pace.warm_up + pace.arm, arms, rounds: RefCell::default() }
    }

    /// The arrivals of the next arm.
    async fn next(&self) -> anyhow::Result<Rc<[Duration]>> {
        let is_first = self.rounds.borrow().runs.is_multiple_of(self.arms);
        if is_first {
            let at_most = most(self.of).await?;
            let mut rounds = self.rounds.borrow_mut();
            rounds.trace = poisson(self.seed, at_most * self.share, self.length).into();
            rounds.at_most.push(at_most);
        }
        let mut rounds = self.rounds.borrow_mut();
        rounds.runs = rounds.runs.saturating_add(1);
        Ok(Rc::clone(&rounds.trace))
    }

    /// Calls a second that the shop took at most, the median of the rounds.
    fn at_most(&self) -> f64 {
        median(&self.rounds.borrow().at_most)
    }
}

/// The gateway and the bare hop, each with its customers.
struct Sides<'a> {
    gateway: Shop<'a>,
    relay: Shop<'a>,
    model: Client,
}

impl<'a> Sides<'a> {
    fn of(platform: &'a Platform) -> anyhow::Result<Self> {
        let relay = format!("http://{}", platform.relay.address);
        Ok(Self {
            gateway: platform.customers.at(&platform.network.gateway.grpc_url())?,
            relay: platform.customers.at(&relay)?.unpaid(),
            model: Client::new(&platform.null.channels, MODEL),
        })
    }
}

/// Calls a second through a shop with 32 in flight.
async fn most(shop: &Shop<'_>) -> anyhow::Result<f64> {
    let window = Window::after(CALIBRATION / 2, CALIBRATION);
    let done = closed_loop(IN_FLIGHT, window, async |caller| buy(shop, caller, Instant::now()).await).await?;
    let rate = rate(&done, window);
    ensure!(rate > 0.0, "nothing was answered within {} s", CALIBRATION.as_secs());
    Ok(rate)
}
