//! L1, L2 and L4: debits a second on many accounts and on one, against rows a second; and what each leaves on the disk.

use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::rounds::{Round, any_noisy, median_of, ratios, rounds};
use ailayer_bench::run::ArmRun;
use ailayer_bench::usage::Of;

use super::{Ground, DEBITS_IN_FLIGHT};
use crate::args::Id;
use crate::bank::Bank;
use crate::debits::Debits;
use crate::meter::Meter;
use crate::pgbench::Pgbench;
use crate::rows::Rows;

/// The arms.
const PGBENCH: usize = 0;
const MANY: usize = 1;
const ONE: usize = 2;
/// How the writer fares with fewer waiting; noted, not compared.
const FEWER_IN_FLIGHT: [usize; 2] = [32, 128];
/// The share of an arm's length that each of those gets.
const NOTED: f64 = 0.3;

/// Measures the three on a new ledger. The one account is one of the many: a ledger is not made for one customer.
pub async fn measure(ground: &Ground, accounts: usize) -> anyhow::Result<Vec<Figure>> {
    let Ground { database, pace } = ground;
    let bank = Bank::open_with_history(database, accounts).await?;
    let (many, one) = (Debits::on_all(&bank), Debits::on_one(&bank));
    let rows = Rows::create(database).await?;
    let pgbench = Pgbench::new(database, &rows)?;
    let server = database.process()?;
    let meter = Meter { server, client: Of::Process(std::process::id()) };
    let (ledger_bytes, row_bytes) = (bank.bytes().await?, rows.bytes().await?);
    let opened = bank.transactions();

    let measured = rounds(pace, 3, PGBENCH, async |arm| match arm {
        PGBENCH => pgbench.run(&rows, server, pace.warm_up, pace.arm).await,
        MANY => many.saturate(meter, DEBITS_IN_FLIGHT, pace.warm_up, pace.arm).await,
        _ => one.saturate(meter, DEBITS_IN_FLIGHT, pace.warm_up, pace.arm).await,
    })
    .await?;

    let debits = (bank.transactions() - opened) as f64;
    let a_debit = (bank.bytes().await? - ledger_bytes) / debits;
    let a_row = (rows.bytes().await? - row_bytes) / rows.count() as f64;
    let size = Figure::reported(Id::L4.name(), "bytes", &[(a_debit, a_row, a_debit / a_row)])
        .note("debits", debits)
        .note("rows", rows.count() as f64);

    let mut figures = Vec::new();
    for (id, goal, arm, load) in [(Id::L1, 0.8, MANY, &many), (Id::L2, 2.0, ONE, &one)] {
        let mut figure = figure(id, goal, &measured, arm)?;
        for in_flight in FEWER_IN_FLIGHT {
            let noted = pace.shortened(NOTED);
            let run = load.saturate(meter, in_flight, noted.warm_up, noted.arm).await?;
            figure = figure.note(&format!("debits/s with {in_flight} in flight"), run.rate);
        }
        figures.push(figure);
    }
    figures.push(size);
    bank.verify().await?;
    rows.verify().await?;
    bank.close().await?;
    Ok(figures)
}

fn figure(id: Id, goal: f64, measured: &[Round], arm: usize) -> anyhow::Result<Figure> {
    let rates = ratios(measured, arm, PGBENCH, |run| run.rate)?;
    let micros = |seconds: f64| seconds * 1e6;
    let server = |run: &ArmRun| micros(run.server_seconds_each);
    let client = |run: &ArmRun| micros(run.client_seconds_each);
    Ok(Figure::of(id.name(), Better::Higher, goal, "debits/s", &rates)
        .noisy_if(any_noisy(measured))
        .note("server core us a debit", median_of(measured, arm, server))
        .note("client core us a debit", median_of(measured, arm, client))
        .note("baseline server core us a row", median_of(measured, PGBENCH, server))
        .note("baseline client core us a row", median_of(measured, PGBENCH, client))
        .note("p50 ms", median_of(measured, arm, ArmRun::p50_ms))
        .note("p99 ms", median_of(measured, arm, ArmRun::p99_ms)))
}
