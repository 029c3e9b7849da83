//! K1: whether the tail of debits grows with the ledger.

use ailayer_bench::args::Pace;
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::generator::traced;
use ailayer_bench::rounds::{any_noisy, median_of, rounds, tell};
use ailayer_bench::run::ArmRun;
use ailayer_bench::schedule::poisson;
use ailayer_bench::statistics::slope;
use ailayer_bench::usage::Of;
use anyhow::Context as _;

use super::{Ground, IN_FLIGHT};
use crate::args::Id;
use crate::bank::Bank;
use crate::debits::Debits;
use crate::meter::Meter;

const GOAL: f64 = 0.10;
/// How much larger each ledger is than the first.
const SIZES: [f64; 3] = [1.0, 10.0, 100.0];
/// The load, as a share of what the largest ledger takes at most.
const LOAD: f64 = 0.5;
/// The share of an arm's length that each of the three gets.
const SHORTER: f64 = 0.4;
const TRACE: u64 = 0x6208;

/// Measures K1: three ledgers in one cluster, at the same rate from the same recorded arrivals.
pub async fn measure(ground: &Ground, smallest: usize) -> anyhow::Result<Figure> {
    let pace = ground.pace.shortened(SHORTER);
    let mut banks = Vec::new();
    for accounts in [smallest, smallest * 10, smallest * 100] {
        banks.push(Bank::open_with_history(&ground.database, accounts).await?);
        tell("+");
    }
    let entries: Vec<usize> = banks.iter().map(Bank::transactions).collect();
    let debits: Vec<Debits<'_>> = banks.iter().map(Debits::on_all).collect();
    let most = most(ground, &pace, debits.last().context("no ledger")?).await?;
    let trace = poisson(TRACE, most * LOAD, pace.warm_up + pace.arm);
    let measured = rounds(&pace, SIZES.len(), 0, async |arm| {
        let debits = debits.get(arm).context("no such ledger")?;
        traced(&trace, pace.warm_up, async |_, due| debits.done(due).await).await
    })
    .await?;
    let mut exponents = Vec::new();
    for round in &measured {
        let p99s: Vec<f64> = round.runs.iter().map(ArmRun::p99_ms).collect();
        let points: Vec<(f64, f64)> =
            SIZES.iter().zip(&p99s).map(|(size, p99)| (size.ln(), p99.ln())).collect();
        let (small, large) = (round.arm(0)?.p99_ms(), round.arm(SIZES.len() - 1)?.p99_ms());
        exponents.push((large, small, slope(&points)));
    }
    let mut figure = Figure::of(Id::K1.name(), Better::Lower, GOAL, "ms", &exponents)
        .noisy_if(any_noisy(&measured))
        .note("arrivals/s", most * LOAD);
    for (arm, entries) in entries.iter().enumerate() {
        let entries = *entries;
        figure = figure
            .note(&format!("p50 ms at {entries} entries"), median_of(&measured, arm, ArmRun::p50_ms))
            .note(&format!("p99 ms at {entries} entries"), median_of(&measured, arm, ArmRun::p99_ms));
    }
    drop(debits);
    for bank in banks {
        bank.verify().await?;
        bank.close().await?;
    }
    Ok(figure)
}

async fn most(ground: &Ground, pace: &Pace, debits: &Debits<'_>) -> anyhow::Result<f64> {
    let meter = Meter { server: ground.database.process()?, client: Of::Process(std::process::id()) };
    Ok(debits.saturate(meter, IN_FLIGHT, pace.warm_up, pace.arm).await?.rate)
}
