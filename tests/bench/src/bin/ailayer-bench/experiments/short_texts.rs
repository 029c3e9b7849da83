//! S2a, S2b and S3: 16 tokens, 32 calls in flight; all arms in the same rounds.

use std::sync::Arc;

use ailayer_bench::corpus::Corpus;
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::rounds::{any_noisy, median_of, ratios};
use ailayer_bench::run::ArmRun;
use ailayer_bench::server::Server;

use super::{best, calibrate, served};
use crate::args::Id;
use crate::arms::{Arm, Ground};

/// Calls in flight.
pub const CONCURRENCY: usize = 32;
/// The arm without batching must itself be near the bare engine, or batching would be praised for its slowness.
const OFF_AT_LEAST: f64 = 0.90;

/// Measures the three with the batching server, the one that does not batch, and the bare engine at 1 and at its best.
pub async fn measure(
    ground: &Ground,
    batching: &Server,
    single: Option<&Server>,
    corpus: &Arc<Corpus>,
) -> anyhow::Result<Vec<Figure>> {
    const ON: usize = 0;
    const ONE: usize = 1;
    const BEST: usize = 2;
    const OFF: usize = 3;
    let (rows, _) = best(&calibrate(ground, corpus).await?);
    let mut arms = vec![served(batching, CONCURRENCY), Arm::Raw { rows: 1 }, Arm::Raw { rows }];
    arms.extend(single.map(|server| served(server, CONCURRENCY)));
    let rounds = ground.rounds(&arms, ONE, corpus).await?;

    let figure = |id: Id, goal, ours, baseline| {
        let ratios = ratios(&rounds, ours, baseline, |run| run.rate)?;
        let core_ms = |run: &ArmRun| run.server_seconds_each * 1e3;
        anyhow::Ok(
            Figure::of(id.name(), Better::Higher, goal, "texts/s", &ratios)
                .noisy_if(any_noisy(&rounds))
                .note("core ms a text", median_of(&rounds, ours, core_ms))
                .note("baseline core ms a text", median_of(&rounds, baseline, core_ms))
                .note("p99 ms", median_of(&rounds, ours, ArmRun::p99_ms))
                .note(
                    "mean rows",
                    median_of(&rounds, ours, |run| run.counted.unwrap_or_default().mean_rows()),
                ),
        )
    };
    let mut figures = vec![
        figure(Id::S2a, 1.0, ON, ONE)?,
        figure(Id::S2b, 0.90, ON, BEST)?.note("baseline batch rows", rows as f64),
    ];
    if single.is_some() {
        let off = median_of(&rounds, OFF, |run| run.rate) / median_of(&rounds, ONE, |run| run.rate);
        let off_rows = median_of(&rounds, OFF, |run| run.counted.unwrap_or_default().mean_rows());
        let (p99, off_p99) =
            (median_of(&rounds, ON, ArmRun::p99_ms), median_of(&rounds, OFF, ArmRun::p99_ms));
        figures.push(
            figure(Id::S3, 1.3, ON, OFF)?
                .void_if(off < OFF_AT_LEAST, "the arm without batching is slow itself")
                .void_if(off_rows > 1.01, "the arm without batching batched")
                .void_if(p99 > off_p99, "batching made p99 worse")
                .note("without batching / bare engine", off)
                .note("without batching p99 ms", off_p99),
        );
    }
    Ok(figures)
}
