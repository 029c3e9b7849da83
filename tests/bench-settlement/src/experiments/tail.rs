//! L3: the tail of debits at half load, against commits of one row at the same times.

use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::generator::traced;
use ailayer_bench::rounds::{any_noisy, median_of, ratios, rounds};
use ailayer_bench::run::ArmRun;
use ailayer_bench::schedule::poisson;
use ailayer_bench::usage::Of;

use super::{CALIBRATION, Ground, IN_FLIGHT};
use crate::args::Id;
use crate::bank::Bank;
use crate::debits::Debits;
use crate::meter::Meter;
use crate::rows::Rows;

const GOAL: f64 = 4.0;
const LOAD: f64 = 0.5;
/// The seed of the recorded arrivals.
const TRACE: u64 = 0x7A11;
const ROWS: usize = 1;

/// Measures L3 on a new ledger. Both sides are driven by the same generator, from the same recorded arrivals.
pub async fn measure(ground: &Ground, accounts: usize) -> anyhow::Result<Figure> {
    let Ground { database, pace } = ground;
    let bank = Bank::open_with_history(database, accounts).await?;
    let debits = Debits::on_all(&bank);
    let rows = Rows::create(database).await?;
    let (of_debits, of_rows) = saturation(ground, &debits, &rows).await?;
    let rate = of_debits.min(of_rows) * LOAD;
    let trace = poisson(TRACE, rate, pace.warm_up + pace.arm);
    let measured = rounds(pace, 2, ROWS, async |arm| match arm {
        ROWS => traced(&trace, pace.warm_up, async |_, due| rows.insert(due).await).await,
        _ => traced(&trace, pace.warm_up, async |_, due| debits.done(due).await).await,
    })
    .await?;
    bank.verify().await?;
    rows.verify().await?;
    bank.close().await?;
    let p99s = ratios(&measured, 0, ROWS, ArmRun::p99_ms)?;
    Ok(Figure::of(Id::L3.name(), Better::Lower, GOAL, "ms", &p99s)
        .noisy_if(any_noisy(&measured))
        .note("arrivals/s", rate)
        .note("p50 ms", median_of(&measured, 0, ArmRun::p50_ms))
        .note("baseline p50 ms", median_of(&measured, ROWS, ArmRun::p50_ms))
        .note("debits/s at most", of_debits)
        .note("rows/s at most", of_rows))
}

/// The rate of each side with 32 in flight, there and back, so that a drift of the machine hits both alike.
async fn saturation(ground: &Ground, debits: &Debits<'_>, rows: &Rows) -> anyhow::Result<(f64, f64)> {
    let (warm_up, length) = (CALIBRATION / 4, CALIBRATION);
    let meter = Meter { server: ground.database.process()?, client: Of::Process(std::process::id()) };
    let debit = async || debits.saturate(meter, IN_FLIGHT, warm_up, length).await;
    let row = async || rows.saturate(warm_up, length).await;
    let there = (debit().await?.rate, row().await?.rate);
    let back = (row().await?.rate, debit().await?.rate);
    Ok((f64::midpoint(there.0, back.1), f64::midpoint(there.1, back.0)))
}
