//! The measurements, one file a definition.

pub mod latency;
pub mod memory;
pub mod mixed_lengths;
pub mod overload;
pub mod short_texts;
pub mod sustained;

use std::sync::Arc;
use std::time::Duration;

use crate::arms::{Arm, Ground, Round};
use crate::corpus::Corpus;

/// The batches of the bare engine that are tried for its best.
const ROWS: [usize; 5] = [1, 2, 4, 8, 16];

/// The bare engine's rate at each batch size, there and back, so that a drift of the machine hits all alike.
async fn calibrate(ground: &Ground, corpus: &Arc<Corpus>) -> anyhow::Result<Vec<(usize, f64)>> {
    let mut rates = ROWS.map(|rows| (rows, 0.0)).to_vec();
    let there_and_back = (0..ROWS.len()).chain((0..ROWS.len()).rev());
    for position in there_and_back {
        let length = ground.plan.arm.min(Duration::from_secs(2));
        let Some((rows, rate)) = rates.get_mut(position) else { continue };
        let warm_up = length / 4;
        *rate += ground.raw.closed_loop(corpus, *rows, warm_up, length).await?.rate / 2.0;
    }
    if ground.rate.get() == 0.0 {
        ground.rate.set(rates.first().map_or(0.0, |(_, rate)| *rate));
    }
    Ok(rates)
}

/// The batch size with the best rate.
fn best(rates: &[(usize, f64)]) -> (usize, f64) {
    rates.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((1, 0.0))
}

/// Our side, the other side, and their ratio, a round.
fn rate_ratios(rounds: &[Round], ours: usize, baseline: usize) -> anyhow::Result<Vec<(f64, f64, f64)>> {
    let of = |round: &Round| {
        let (ours, baseline) = (round.arm(ours)?.rate, round.arm(baseline)?.rate);
        Ok((ours, baseline, ours / baseline))
    };
    rounds.iter().map(of).collect()
}

/// The median over the rounds of something about one arm.
fn median_of(rounds: &[Round], arm: usize, value: fn(&crate::run::ArmRun) -> f64) -> f64 {
    let values: Vec<f64> = rounds.iter().filter_map(|round| round.runs.get(arm)).map(value).collect();
    crate::statistics::median(&values)
}

fn any_noisy(rounds: &[Round]) -> bool {
    rounds.iter().any(|round| round.noisy)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

const fn served(server: &crate::server::Server, concurrency: usize) -> Arm<'_> {
    Arm::Served { server, concurrency }
}
