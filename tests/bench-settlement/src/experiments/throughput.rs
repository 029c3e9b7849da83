//! L1, L2 and L4: debits a second on many accounts and on one, against rows a second; and what each leaves on the disk.

use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::rounds::{Round, any_noisy, median_of, ratios, rounds};
use ailayer_bench::run::ArmRun;
use ailayer_bench::usage::Of;

use super::{Ground, IN_FLIGHT};
use crate::args::Id;
use crate::bank::Bank;
use crate::debits::Debits;
use crate::meter::Meter;
use crate::pgbench::Pgbench;
use crate::rows::Rows;

/// The baseline's arm; the others follow in the order of [`LOADS`].
const PGBENCH: usize = 0;
/// A coalescing writer lives on what waits, so that it is also measured with as many callers as a busy gateway has.
const CROWD: usize = 512;
/// What is compared with the baseline: name, goal, whether all accounts are drawn from, and how many debits are in flight.
const LOADS: [(Id, f64, bool, usize); 4] = [
    (Id::L1, 0.8, true, IN_FLIGHT),
    (Id::L1b, 0.8, true, CROWD),
    (Id::L2, 2.0, false, IN_FLIGHT),
    (Id::L2b, 2.0, false, CROWD),
];

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

    let measured = rounds(pace, 1 + LOADS.len(), PGBENCH, async |arm| {
        let Some((_, _, all, in_flight)) = arm.checked_sub(1).and_then(|load| LOADS.get(load)) else {
            return pgbench.run(&rows, server, pace.warm_up, pace.arm).await;
        };
        let debits = if *all { &many } else { &one };
        debits.saturate(meter, *in_flight, pace.warm_up, pace.arm).await
    })
    .await?;

    let debits = (bank.transactions() - opened) as f64;
    let a_debit = (bank.bytes().await? - ledger_bytes) / debits;
    let a_row = (rows.bytes().await? - row_bytes) / rows.count() as f64;
    let size = Figure::reported(Id::L4.name(), "bytes", &[(a_debit, a_row, a_debit / a_row)])
        .note("debits", debits)
        .note("rows", rows.count() as f64);

    let loads = (1..).zip(LOADS);
    let figures = loads.map(|(arm, (id, goal, _, _))| figure(id, goal, &measured, arm));
    let mut figures = figures.collect::<anyhow::Result<Vec<Figure>>>()?;
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
