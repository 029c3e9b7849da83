//! S5a and S5b: the tail at light and at heavy load, against one bare worker on the same trace.

use std::sync::Arc;

use ailayer_bench::corpus::Corpus;
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::rounds::{Round, any_noisy, median_of};
use ailayer_bench::run::ArmRun;
use ailayer_bench::schedule::poisson;
use ailayer_bench::server::Server;

use super::calibrate;
use crate::args::Id;
use crate::arms::{Arm, Ground};

/// The seed of the recorded traces.
const TRACE: u64 = 0x7ACE;

/// Measures S5a: milliseconds of the 99th percentile on top of the bare worker's, at a tenth of its capacity. Beside it, how long
/// a call of the same trace takes to `hop`, a null server on the server's core.
pub async fn light(
    ground: &Ground,
    server: &Server,
    hop: &Server,
    corpus: &Arc<Corpus>,
) -> anyhow::Result<Figure> {
    let (rounds, rate) = traced(ground, server, corpus, 0.10).await?;
    let differences = p99s(&rounds)?.into_iter().map(|(ours, bare)| (ours, bare, ours - bare));
    let trace = poisson(TRACE, rate, ground.plan.pace.warm_up + ground.plan.pace.arm);
    let hop = ground.run(Arm::HopTrace { server: hop, trace: &trace }, corpus, ground.plan.pace.arm).await?;
    Ok(finish(Id::S5a, 1.0, &differences.collect::<Vec<_>>(), &rounds, rate)
        .note("null server p50 ms", hop.p50_ms())
        .note("null server p99 ms", hop.p99_ms()))
}

/// Measures S5b: the ratio of the 99th percentiles at seven tenths of the bare worker's capacity.
pub async fn heavy(ground: &Ground, server: &Server, corpus: &Arc<Corpus>) -> anyhow::Result<Figure> {
    let (rounds, rate) = traced(ground, server, corpus, 0.70).await?;
    let ratios = p99s(&rounds)?.into_iter().map(|(ours, bare)| (ours, bare, ours / bare));
    Ok(finish(Id::S5b, 1.2, &ratios.collect::<Vec<_>>(), &rounds, rate))
}

async fn traced(
    ground: &Ground,
    server: &Server,
    corpus: &Arc<Corpus>,
    load: f64,
) -> anyhow::Result<(Vec<Round>, f64)> {
    let capacity = calibrate(ground, corpus).await?.first().map_or(0.0, |(_, rate)| *rate);
    let rate = capacity * load;
    let trace = poisson(TRACE, rate, ground.plan.pace.warm_up + ground.plan.pace.arm);
    let arms = [Arm::ServedTrace { server, trace: &trace }, Arm::RawTrace { trace: &trace }];
    Ok((ground.rounds(&arms, 1, corpus).await?, rate))
}

fn p99s(rounds: &[Round]) -> anyhow::Result<Vec<(f64, f64)>> {
    rounds.iter().map(|round| Ok((round.arm(0)?.p99_ms(), round.arm(1)?.p99_ms()))).collect()
}

fn finish(id: Id, goal: f64, rounds_of: &[(f64, f64, f64)], rounds: &[Round], rate: f64) -> Figure {
    Figure::of(id.name(), Better::Lower, goal, "ms", rounds_of)
        .noisy_if(any_noisy(rounds))
        .note("texts/s", rate)
        .note("p50 ms", median_of(rounds, 0, ArmRun::p50_ms))
        .note("baseline p50 ms", median_of(rounds, 1, ArmRun::p50_ms))
}
