//! G1: what the gateway adds to a call of a model that does nothing, against what a bare hop adds.

use ailayer_bench::args::Pace;
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::generator::traced;
use ailayer_bench::rounds::{Round, any_noisy, any_refused, median_of, rounds};
use ailayer_bench::run::ArmRun;

use super::{Arrivals, SHORTER, Sides, ask, buy, most};
use crate::args::Id;
use crate::platform::Platform;

const MEDIAN_GOAL: f64 = 1.5;
const TAIL_GOAL: f64 = 2.0;
/// The load, as a share of what the gateway takes at most: the other arms take more, which is looked at once.
pub const LOAD: f64 = 0.5;
const TRACE: u64 = 0x6A7E;
/// The arms.
const MODEL: usize = 0;
const RELAY: usize = 1;
const GATEWAY: usize = 2;

/// Measures both figures. All three arms get the same recorded arrivals.
pub async fn measure(platform: &Platform, pace: &Pace, syncs: f64) -> anyhow::Result<Vec<Figure>> {
    let pace = pace.shortened(SHORTER);
    let sides = Sides::of(platform)?;
    let of_relay = most(&sides.relay).await?;
    let arrivals = Arrivals::new(&sides.gateway, LOAD, TRACE, &pace, 3);
    let measured = rounds(&pace, 3, RELAY, async |arm| {
        let trace = arrivals.next().await?;
        traced(&trace, pace.warm_up, async |call, due| match arm {
            MODEL => ask(&sides.model, call, due).await,
            RELAY => buy(&sides.relay, call, due).await,
            _ => buy(&sides.gateway, call, due).await,
        })
        .await
    })
    .await?;
    let figure = |id: Id, goal, value: fn(&ArmRun) -> f64| {
        let added = added(&measured, value)?;
        anyhow::Ok(
            Figure::of(id.name(), Better::Lower, goal, "ms added", &added)
                .noisy_if(any_noisy(&measured))
                .void_if(any_refused(&measured), "calls were refused")
                .void_if(added.iter().any(|(_, relay, _)| *relay <= 0.0), "the bare hop added nothing")
                .note("arrivals/s", arrivals.at_most() * LOAD)
                .note("model ms", median_of(&measured, MODEL, value))
                .note("bare hop ms", median_of(&measured, RELAY, value))
                .note("gateway ms", median_of(&measured, GATEWAY, value)),
        )
    };
    Ok(vec![
        figure(Id::G1a, MEDIAN_GOAL, ArmRun::p50_ms)?
            .note("ms of one fsync", 1e3 / syncs)
            .note("gateway calls/s at most", arrivals.at_most())
            .note("bare hop calls/s at most", of_relay),
        figure(Id::G1b, TAIL_GOAL, ArmRun::p99_ms)?,
    ])
}

/// What the gateway adds, what the bare hop adds, and their ratio, a round.
fn added(measured: &[Round], value: fn(&ArmRun) -> f64) -> anyhow::Result<Vec<(f64, f64, f64)>> {
    let of = |round: &Round| {
        let model = value(round.arm(MODEL)?);
        let (gateway, relay) = (value(round.arm(GATEWAY)?) - model, value(round.arm(RELAY)?) - model);
        Ok((gateway, relay, gateway / relay))
    };
    measured.iter().map(of).collect()
}
