//! S1: 128 tokens, eight calls in flight, against the bare engine at its best batch.

use std::sync::Arc;

use ailayer_bench::corpus::Corpus;
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::rounds::{any_noisy, median_of, ratios};
use ailayer_bench::run::ArmRun;
use ailayer_bench::server::Server;

use super::{best, calibrate, served};
use crate::args::Id;
use crate::arms::{Arm, Ground};

const CONCURRENCY: usize = 8;
const GOAL: f64 = 0.97;

/// Measures S1.
pub async fn measure(ground: &Ground, server: &Server, corpus: &Arc<Corpus>) -> anyhow::Result<Figure> {
    let rates = calibrate(ground, corpus).await?;
    let (rows, _) = best(&rates);
    let arms = [served(server, CONCURRENCY), Arm::Raw { rows }];
    let rounds = ground.rounds(&arms, 1, corpus).await?;
    let mut figure =
        Figure::of(Id::S1.name(), Better::Higher, GOAL, "texts/s", &ratios(&rounds, 0, 1, |run| run.rate)?)
            .noisy_if(any_noisy(&rounds))
            .note("baseline batch rows", rows as f64)
            .note("server core ms a text", median_of(&rounds, 0, |run| run.server_seconds_each * 1e3))
            .note("baseline core ms a text", median_of(&rounds, 1, |run| run.server_seconds_each * 1e3))
            .note(
                "served mean rows",
                median_of(&rounds, 0, |run| run.counted.unwrap_or_default().mean_rows()),
            )
            .note("served p99 ms", median_of(&rounds, 0, ArmRun::p99_ms));
    for (rows, rate) in rates {
        figure = figure.note(&format!("bare engine texts/s, batch {rows}"), rate);
    }
    Ok(figure)
}
