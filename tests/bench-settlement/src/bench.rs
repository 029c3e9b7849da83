//! The whole run: what is needed is started, then each measurement.

use std::path::Path;

use ailayer_bench::args::{Pace, RunArgs};
use ailayer_bench::cores::Cores;
use ailayer_bench::figure::Figure;
use ailayer_bench::machine::describe;
use ailayer_bench::report::{Limits, Machine};
use ailayer_bench::rounds::tell;
use anyhow::Context as _;

use crate::args::{Args, Id, REPORT};
use crate::database::{Database, syncs_a_second};
use crate::experiments::{Ground, capacity, exporting, growth, hop, null_ledger, paid, tail, throughput};
use crate::platform::Platform;

const OF_THE_LEDGER: [Id; 7] = [Id::L1, Id::L1b, Id::L2, Id::L2b, Id::L3, Id::L4, Id::K1];
const OF_THE_PLATFORM: [Id; 7] = [Id::G1a, Id::G1b, Id::G2, Id::G3, Id::G3b, Id::G4, Id::E1];

/// Measures what the arguments name and writes the figures; answers the table.
///
/// The ledger's figures are checked by themselves, and written before the platform is started: what fails later does not take them away.
pub async fn run(args: Args) -> anyhow::Result<String> {
    let (cores, pace, machine) = (args.run.cores(), args.run.pace()?, describe(String::new()));
    std::fs::create_dir_all(&args.run.out)?;
    let database = Database::start(cores).await?;
    let engine = database.describe().await?;
    let limits = Limits { short: args.is_short(), pinned: cores.is_some() };
    let machine = Machine { engine, ..machine };
    let publish = |mut figures: Vec<Figure>, keep: bool| {
        figures.retain(|figure| args.only.is_empty() || args.only.iter().any(|id| id.name() == figure.id));
        let machine = Machine { minutes: pace.minutes(), ..machine.clone() };
        REPORT.publish(&RunArgs { keep, ..args.run.clone() }, figures, limits, &machine)
    };
    let ground = Ground { database, pace };
    let (mut table, mut keep) = (String::new(), args.run.keep);
    if args.wants(&OF_THE_LEDGER) {
        table = publish(of_the_ledger(&args, &ground).await?, keep)?;
        keep = true;
    }
    // The platform has a cluster of its own, as `ailayer up` has.
    drop(ground);
    if args.wants(&OF_THE_PLATFORM) {
        table = publish(of_the_platform(&args, &pace, cores).await?, keep)?;
    }
    tell("\n");
    Ok(table)
}

/// The library on a PostgreSQL, and no other process.
async fn of_the_ledger(args: &Args, ground: &Ground) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if args.wants(&[Id::L1, Id::L1b, Id::L2, Id::L2b, Id::L4]) {
        tell("\nL1 L2 L4 ");
        figures.extend(throughput::measure(ground, args.accounts).await.context("L1, L2, L4")?);
    }
    if args.wants(&[Id::L3]) {
        tell("\nL3 ");
        figures.push(tail::measure(ground, args.accounts).await.context("L3")?);
    }
    if args.wants(&[Id::K1]) {
        tell("\nK1 ");
        figures.push(growth::measure(ground, args.smallest).await.context("K1")?);
    }
    Ok(figures)
}

/// The services in real processes.
async fn of_the_platform(args: &Args, pace: &Pace, cores: Option<Cores>) -> anyhow::Result<Vec<Figure>> {
    tell("\nplatform ");
    let logs: &Path = &args.run.out;
    let platform = Platform::start(cores, logs).await.context("the platform")?;
    let mut figures = Vec::new();
    if args.wants(&[Id::G1a, Id::G1b]) {
        tell("\nG1 ");
        let syncs = syncs_a_second(platform.network.backbone.data_dir.path())?;
        figures.extend(hop::measure(&platform, pace, syncs).await.context("G1")?);
    }
    if args.wants(&[Id::G2]) {
        tell("\nG2 ");
        figures.push(null_ledger::measure(&platform, pace).await.context("G2")?);
    }
    if args.wants(&[Id::G3, Id::G3b]) {
        tell("\nG3 ");
        figures.extend(capacity::measure(&platform, pace).await.context("G3")?);
    }
    if args.wants(&[Id::G4]) {
        tell("\nG4 ");
        figures.push(exporting::measure(&platform, pace).await.context("G4")?);
    }
    // Last: it moves processes to other cores.
    if args.wants(&[Id::E1]) {
        tell("\nE1 ");
        figures.push(paid::measure(&platform, pace).await.context("E1")?);
    }
    platform.verify().await.context("the platform's books")?;
    platform.stop().await?;
    Ok(figures)
}
