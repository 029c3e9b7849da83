//! The whole run: what is needed is started, then each measurement.

use std::cell::{Cell, RefCell};
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

const OF_THE_PLATFORM: [Id; 7] = [Id::G1a, Id::G1b, Id::G2, Id::G3, Id::G3b, Id::G4, Id::E1];

/// Where figures go as soon as they are there: what fails later does not take them away.
struct Published<'a> {
    args: &'a Args,
    pace: Pace,
    limits: Limits,
    machine: Machine,
    keep: Cell<bool>,
    table: RefCell<String>,
}

impl Published<'_> {
    /// Writes what was asked for of them, beside those of this run that are there already.
    fn add(&self, mut figures: Vec<Figure>) -> anyhow::Result<()> {
        let Self { args, pace, limits, machine, keep, table } = self;
        figures.retain(|figure| args.only.is_empty() || args.only.iter().any(|id| id.name() == figure.id));
        let machine = Machine { minutes: pace.minutes(), ..machine.clone() };
        let run = RunArgs { keep: keep.replace(true), ..args.run.clone() };
        *table.borrow_mut() = REPORT.publish(&run, figures, *limits, &machine)?;
        Ok(())
    }
}

/// Measures what the arguments name and writes the figures, each group as soon as it is there and its books agree; answers the table.
pub async fn run(args: Args) -> anyhow::Result<String> {
    let (cores, pace, machine) = (args.run.cores(), args.run.pace()?, describe(String::new()));
    std::fs::create_dir_all(&args.run.out)?;
    let database = Database::start(cores).await?;
    let engine = database.describe().await?;
    let published = Published {
        args: &args,
        pace,
        limits: Limits { short: args.is_short(), pinned: cores.is_some() },
        machine: Machine { engine, ..machine },
        keep: Cell::new(args.run.keep),
        table: RefCell::default(),
    };
    let ground = Ground { database, pace };
    of_the_ledger(&args, &ground, &published).await?;
    // The platform has a cluster of its own, as `ailayer up` has.
    drop(ground);
    if args.wants(&OF_THE_PLATFORM) {
        of_the_platform(&args, cores, &published).await?;
    }
    tell("\n");
    Ok(published.table.take())
}

/// The library on a PostgreSQL, and no other process.
async fn of_the_ledger(args: &Args, ground: &Ground, published: &Published<'_>) -> anyhow::Result<()> {
    if args.wants(&[Id::L1, Id::L1b, Id::L2, Id::L2b, Id::L4]) {
        tell("\nL1 L2 L4 ");
        published.add(throughput::measure(ground, args.accounts).await.context("L1, L2, L4")?)?;
    }
    if args.wants(&[Id::L3]) {
        tell("\nL3 ");
        published.add(vec![tail::measure(ground, args.accounts).await.context("L3")?])?;
    }
    if args.wants(&[Id::K1]) {
        tell("\nK1 ");
        published.add(vec![growth::measure(ground, args.smallest).await.context("K1")?])?;
    }
    Ok(())
}

/// The services in real processes.
async fn of_the_platform(args: &Args, cores: Option<Cores>, published: &Published<'_>) -> anyhow::Result<()> {
    tell("\nplatform ");
    let (pace, logs): (&Pace, &Path) = (&published.pace, &args.run.out);
    let platform = Platform::start(cores, logs).await.context("the platform")?;
    // What was sold is compared with the books before a figure counts.
    let add = async |figures| {
        platform.verify().await.context("the platform's books")?;
        published.add(figures)
    };
    if args.wants(&[Id::G1a, Id::G1b]) {
        tell("\nG1 ");
        let syncs = syncs_a_second(platform.network.backbone.data_dir.path())?;
        add(hop::measure(&platform, pace, syncs).await.context("G1")?).await?;
    }
    if args.wants(&[Id::G2]) {
        tell("\nG2 ");
        add(vec![null_ledger::measure(&platform, pace).await.context("G2")?]).await?;
    }
    if args.wants(&[Id::G3, Id::G3b]) {
        tell("\nG3 ");
        add(capacity::measure(&platform, pace).await.context("G3")?).await?;
    }
    if args.wants(&[Id::G4]) {
        tell("\nG4 ");
        add(vec![exporting::measure(&platform, pace).await.context("G4")?]).await?;
    }
    // Last: it moves processes to other cores.
    if args.wants(&[Id::E1]) {
        tell("\nE1 ");
        add(vec![paid::measure(&platform, pace).await.context("E1")?]).await?;
    }
    platform.stop().await
}
