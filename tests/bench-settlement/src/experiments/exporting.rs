//! G4: the gateway's time on a core with traces and metrics exported, against the same without.

use std::cell::Cell;
use std::time::Instant;

use ailayer_bench::args::Pace;
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::generator::{offered, soon};
use ailayer_bench::rounds::{any_noisy, any_refused, median_of, ratios, rounds};
use ailayer_bench::run::{ArmRun, Window};

use super::hop::LOAD;
use super::{Arrivals, SHORTER, buy};
use crate::args::Id;
use crate::platform::Platform;
use crate::processes::Processes;
use crate::sink::Sink;

const GOAL: f64 = 1.05;
const TRACE: u64 = 0x07E1;
/// The arms.
const ON: usize = 0;
const OFF: usize = 1;

/// Measures G4: two gateways that differ in nothing else, in turn, at the same recorded arrivals. Every call is traced.
pub async fn measure(platform: &Platform, pace: &Pace) -> anyhow::Result<Figure> {
    let pace = pace.shortened(SHORTER);
    let sink = Sink::start().await?;
    let null = ("SERVING__ENDPOINT", format!("http://{}", platform.null.address));
    let off = platform.gateway(std::slice::from_ref(&null)).await?;
    let on = platform.gateway(&[null, ("PLATFORM__TELEMETRY__OTLP_ENDPOINT", sink.endpoint())]).await?;
    let with = platform.customers.at(&on.process.grpc_url())?;
    let without = platform.customers.at(&off.process.grpc_url())?;
    let of_on = Processes::new(platform.paid_path(&on.process)?);
    let of_off = Processes::new(platform.paid_path(&off.process)?);
    let arrivals = Arrivals::new(&without, LOAD, TRACE, &pace, 2);
    let spans = sink.spans();
    let measured = rounds(&pace, 2, OFF, async |arm| {
        let (shop, processes) = if arm == ON { (&with, &of_on) } else { (&without, &of_off) };
        let trace = arrivals.next().await?;
        let (begin, refused) = (soon(), Cell::new(0));
        let window = Window { begin: begin + pace.warm_up, end: begin + pace.warm_up + pace.arm };
        let load = async {
            let load = offered(&trace, begin, async |call, due| buy(shop, call, due).await).await?;
            refused.set(load.refused);
            Ok(load.done)
        };
        let (done, server_seconds_each) = processes.metered(window, load).await?;
        let run = ArmRun::of_latencies(&done, Window { end: Instant::now(), ..window });
        Ok(ArmRun { server_seconds_each, refused: refused.get(), ..run })
    })
    .await?;
    let spans = (sink.spans() - spans) as f64;
    let each = ratios(&measured, ON, OFF, |run| run.server_seconds_each * 1e6)?;
    let figure = Figure::of(Id::G4.name(), Better::Lower, GOAL, "core us a call", &each)
        .noisy_if(any_noisy(&measured))
        .void_if(any_refused(&measured), "calls were refused")
        .void_if(spans == 0.0, "nothing was exported")
        .note("calls/s", arrivals.at_most() * LOAD)
        .note("spans", spans)
        .note("p50 ms", median_of(&measured, ON, ArmRun::p50_ms))
        .note("p50 ms without", median_of(&measured, OFF, ArmRun::p50_ms));
    on.process.stop().await?;
    off.process.stop().await?;
    sink.stop().await?;
    Ok(figure)
}
