//! The measurements, one file a definition.

pub mod latency;
pub mod memory;
pub mod mixed_lengths;
pub mod overload;
pub mod short_texts;
pub mod sustained;

use std::sync::Arc;
use std::time::Duration;

use ailayer_bench::corpus::Corpus;
use ailayer_bench::server::Server;

use crate::arms::{Arm, Ground};

/// The batches of the bare engine that are tried for its best.
const ROWS: [usize; 5] = [1, 2, 4, 8, 16];

/// The bare engine's rate at each batch size, there and back, so that a drift of the machine hits all alike.
async fn calibrate(ground: &Ground, corpus: &Arc<Corpus>) -> anyhow::Result<Vec<(usize, f64)>> {
    let mut rates = ROWS.map(|rows| (rows, 0.0)).to_vec();
    let there_and_back = (0..ROWS.len()).chain((0..ROWS.len()).rev());
    for position in there_and_back {
        let length = ground.plan.pace.arm.min(Duration::from_secs(2));
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

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

const fn served(server: &Server, concurrency: usize) -> Arm<'_> {
    Arm::Served { server, concurrency }
}
