//! G3: calls a second through the gateway, against a hop that neither meters nor posts nor signs, and against the same gateway with a
//! ledger and a log that do nothing.

use std::time::Instant;

use ailayer_bench::args::Pace;
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::generator::closed_loop;
use ailayer_bench::rounds::{any_noisy, median_of, ratios, rounds};
use ailayer_bench::run::{ArmRun, Window};
use ailayer_bench::usage::Of;
use ailayer_devnet::AilayerBinary;

use super::{IN_FLIGHT, SHORTER, Sides, buy};
use crate::args::Id;
use crate::platform::{Platform, id};
use crate::processes::Processes;

const GOAL: f64 = 0.80;
/// The arms.
const RELAY: usize = 0;
const GATEWAY: usize = 1;
const UNBOOKED: usize = 2;

/// Measures both figures with 32 calls in flight.
pub async fn measure(platform: &Platform, pace: &Pace) -> anyhow::Result<Vec<Figure>> {
    let pace = pace.shortened(SHORTER);
    let sides = Sides::of(platform)?;
    let paid = Processes::new(platform.paid_path(&platform.network.gateway)?);
    let bare = Processes::new(vec![("bare hop", Of::Process(platform.relay.process))]);
    let null = ("SERVING__ENDPOINT", format!("http://{}", platform.null.address));
    let unbooked = platform.gateway_of(&AilayerBinary::current()?, &[null]).await?;
    let shop = platform.customers.at(&unbooked.process.grpc_url())?.unbooked();
    let alone = Processes::new(vec![("unbooked gateway", Of::Process(id(unbooked.process.process())?))]);
    let measured = rounds(&pace, 3, RELAY, async |arm| {
        let (shop, processes) = match arm {
            RELAY => (&sides.relay, &bare),
            GATEWAY => (&sides.gateway, &paid),
            _ => (&shop, &alone),
        };
        let window = Window::after(pace.warm_up, pace.arm);
        let load = closed_loop(IN_FLIGHT, window, async |caller| buy(shop, caller, Instant::now()).await);
        let (done, server_seconds_each) = processes.metered(window, load).await?;
        Ok(ArmRun { server_seconds_each, ..ArmRun::of_rate(&done, window) })
    })
    .await?;
    let rates = ratios(&measured, GATEWAY, RELAY, |run| run.rate)?;
    let figure = Figure::of(Id::G3.name(), Better::Higher, GOAL, "calls/s", &rates)
        .noisy_if(any_noisy(&measured))
        .note("p50 ms", median_of(&measured, GATEWAY, ArmRun::p50_ms))
        .note("p99 ms", median_of(&measured, GATEWAY, ArmRun::p99_ms));
    let rates = ratios(&measured, GATEWAY, UNBOOKED, |run| run.rate)?;
    let of_books = Figure::reported(Id::G3b.name(), "calls/s", &rates)
        .noisy_if(any_noisy(&measured))
        .note("p50 ms without", median_of(&measured, UNBOOKED, ArmRun::p50_ms));
    unbooked.process.stop().await?;
    Ok(vec![bare.note(paid.note(figure, "call"), "call"), alone.note(of_books, "call")])
}
