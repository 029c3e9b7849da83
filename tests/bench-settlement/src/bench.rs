//! The whole run: what is needed is started, then each measurement.

use ailayer_bench::cores::Cores;
use ailayer_bench::figure::Figure;
use ailayer_bench::machine::describe;
use ailayer_bench::report::{Limits, Machine};
use ailayer_bench::rounds::tell;
use anyhow::Context as _;

use crate::args::{Args, Id, REPORT};
use crate::database::Database;
use crate::experiments::{Ground, growth, tail, throughput};

/// Measures what the arguments name and writes the figures; answers the table.
pub async fn run(args: Args) -> anyhow::Result<String> {
    let cores = args.run.cores();
    let pace = args.run.pace()?;
    let machine = describe(String::new());
    let (figures, engine) = of_the_ledger(&args, cores).await?;
    let wanted = figures
        .into_iter()
        .filter(|figure| args.only.is_empty() || args.only.iter().any(|id| id.name() == figure.id));
    let limits = Limits { short: args.is_short(), pinned: cores.is_some() };
    let machine = Machine { engine, minutes: pace.minutes(), ..machine };
    tell("\n");
    REPORT.publish(&args.run, wanted.collect(), limits, &machine)
}

/// L1 to L4 and K1, in a cluster of their own.
async fn of_the_ledger(args: &Args, cores: Option<Cores>) -> anyhow::Result<(Vec<Figure>, String)> {
    let ground = Ground { database: Database::start(cores).await?, pace: args.run.pace()? };
    let engine = ground.database.describe().await?;
    let mut figures = Vec::new();
    if args.wants(&[Id::L1, Id::L2, Id::L4]) {
        tell("\nL1 L2 L4 ");
        figures.extend(throughput::measure(&ground, args.accounts).await.context("L1, L2, L4")?);
    }
    if args.wants(&[Id::L3]) {
        tell("\nL3 ");
        figures.push(tail::measure(&ground, args.accounts).await.context("L3")?);
    }
    if args.wants(&[Id::K1]) {
        tell("\nK1 ");
        figures.push(growth::measure(&ground, args.smallest).await.context("K1")?);
    }
    Ok((figures, engine))
}
