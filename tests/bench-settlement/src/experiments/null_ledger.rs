//! G2: what the gateway adds to a call of a model that does nothing, where ledger and log do nothing either.

use ailayer_bench::args::Pace;
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::generator::traced;
use ailayer_bench::rounds::{any_noisy, any_refused, median_of, rounds};
use ailayer_bench::run::ArmRun;
use ailayer_devnet::AilayerBinary;

use super::{Arrivals, SHORTER, Sides, ask, buy};
use crate::args::Id;
use crate::platform::Platform;

/// Milliseconds added to the 99th percentile.
const GOAL: f64 = 1.0;
/// The load, as a share of what this gateway takes at most.
const LOAD: f64 = 0.7;
const TRACE: u64 = 0x0617;
/// The arms.
const MODEL: usize = 0;
const GATEWAY: usize = 1;

/// Measures G2. Both arms get the same recorded arrivals. What is held against the goal is a difference, not a quotient.
pub async fn measure(platform: &Platform, pace: &Pace) -> anyhow::Result<Figure> {
    let pace = pace.shortened(SHORTER);
    let Sides { model, .. } = Sides::of(platform)?;
    let null = ("SERVING__ENDPOINT", format!("http://{}", platform.null.address));
    // This program with the command line of the real one: `unbooked`.
    let gateway = platform.gateway_of(&AilayerBinary::current()?, &[null]).await?;
    let shop = platform.customers.at(&gateway.process.grpc_url())?.unbooked();
    let arrivals = Arrivals::new(&shop, LOAD, TRACE, &pace, 2);
    let measured = rounds(&pace, 2, MODEL, async |arm| {
        let trace = arrivals.next().await?;
        traced(&trace, pace.warm_up, async |call, due| match arm {
            MODEL => ask(&model, call, due).await,
            _ => buy(&shop, call, due).await,
        })
        .await
    })
    .await?;
    let added = measured.iter().map(|round| {
        let (model, gateway) = (round.arm(MODEL)?.p99_ms(), round.arm(GATEWAY)?.p99_ms());
        anyhow::Ok((gateway, model, gateway - model))
    });
    let added = added.collect::<anyhow::Result<Vec<_>>>()?;
    gateway.process.stop().await?;
    Ok(Figure::of(Id::G2.name(), Better::Lower, GOAL, "ms", &added)
        .noisy_if(any_noisy(&measured))
        .void_if(any_refused(&measured), "calls were refused")
        .note("arrivals/s", arrivals.at_most() * LOAD)
        .note("calls/s at most", arrivals.at_most())
        .note("p50 ms", median_of(&measured, GATEWAY, ArmRun::p50_ms))
        .note("model p50 ms", median_of(&measured, MODEL, ArmRun::p50_ms)))
}
