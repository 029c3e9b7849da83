//! S4: what is lost to padding while the server is saturated with texts of mixed lengths.

use std::sync::Arc;

use ailayer_bench::corpus::Corpus;
use ailayer_bench::counters::Counters;
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::rounds::{any_noisy, median_of};
use ailayer_bench::server::Server;

use super::short_texts::CONCURRENCY;
use super::{milliseconds, served};
use crate::args::Id;
use crate::arms::Ground;

const GOAL: f64 = 1.10;
const MEAN_ROWS: f64 = 4.0;
const SPEED_UP: f64 = 1.2;

/// Measures S4 beside a server that does not batch.
pub async fn measure(
    ground: &Ground,
    batching: &Server,
    single: &Server,
    corpus: &Arc<Corpus>,
) -> anyhow::Result<Figure> {
    let arms = [served(batching, CONCURRENCY), served(single, CONCURRENCY)];
    let rounds = ground.rounds(&arms, 1, corpus).await?;
    let counted: Vec<Counters> = rounds
        .iter()
        .map(|round| Ok(round.arm(0)?.counted.unwrap_or_default()))
        .collect::<anyhow::Result<_>>()?;
    let ratios: Vec<_> =
        counted.iter().map(|c| (c.padded_tokens, c.tokens, c.padded_tokens / c.tokens)).collect();
    let mean_rows = median_of(&rounds, 0, |run| run.counted.unwrap_or_default().mean_rows());
    let speed_up = median_of(&rounds, 0, |run| run.rate) / median_of(&rounds, 1, |run| run.rate);
    let oldest = rounds.iter().filter_map(|round| round.runs.first()).map(|run| run.oldest_wait).max();
    let uncounted = counted.iter().any(|c| c.tokens == 0.0);
    Ok(Figure::of(Id::S4.name(), Better::Lower, GOAL, "tokens", &ratios)
        .noisy_if(any_noisy(&rounds))
        .void_if(uncounted, "the server counted no tokens")
        .void_if(!uncounted && mean_rows < MEAN_ROWS, "fewer than 4 rows a batch")
        .void_if(speed_up < SPEED_UP, "less than 1.2 times the throughput without batching")
        .note("mean rows", mean_rows)
        .note("throughput / without batching", speed_up)
        .note("texts/s", median_of(&rounds, 0, |run| run.rate))
        .note("oldest wait ms", milliseconds(oldest.unwrap_or_default())))
}
