//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use ailayer_bench::args::RunArgs;
use ailayer_bench::report::Report;
use clap::builder::RangedU64ValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// `settlement.json`, and the page's markers.
pub const REPORT: Report = Report {
    name: "settlement",
    order: &["L1", "L1b", "L2", "L2b", "L3", "L4", "K1", "G1a", "G1b", "G2", "G3", "G3b", "G4", "E1"],
};

/// Accounts, by the definitions.
const ACCOUNTS: usize = 10_000;
const SMALLEST: usize = 1_000;

/// What each figure is, for people who ask the program.
const FIGURES: &str = "\
Figures (docs/reference/settlement-benchmarks.md has the definitions):
  L1   32 in flight, 10,000 accounts: debits/s / one-row inserts/s of pgbench            >= 0.8
  L2   the same on one account                                                           >= 2.0
  L1b, L2b  the same two with 512 in flight, beside the same baseline
  L3   at half load, arrivals by chance: p99 of debits / of commits of one row           <= 4
  L4   bytes of a debit / of a minimal row with a unique key                             reported
  K1   p99 of debits at 1, 10 and 100 times the accounts and entries: exponent           <= 0.10
  G1a  a model that does nothing: median added by the gateway / by a bare hop            <= 1.5
  G1b  the same, p99                                                                     <= 2.0
  G2   the same with a ledger and a log that do nothing, at 70 % load: p99 added, ms     <= 1
  G3   as G1, 32 in flight: calls/s through the gateway / through a bare hop          >= 0.80
  G3b  the same / through the gateway with a ledger and a log that do nothing            reported
  G4   the gateway's core time of a call with export of traces and metrics / without     <= 1.05
  E1   128 tokens, 8 in flight: paid texts/s / unpaid                                    >= 0.95

Examples:
  ailayer-bench-settlement                            everything
  ailayer-bench-settlement --only L1,L2               two of them
  ailayer-bench-settlement --only L1 --rounds 1 --seconds 1 --warm-up 1     a quick look, marked SHORT
  ailayer-bench-settlement --only K1 --keep           one again; the file's other figures stay
  ailayer-bench-settlement markdown docs/reference/settlement-benchmarks.md     put the last table into the page

Exit status: 0 measured (whether or not the goals are met), 1 not measured, or the books or an answer wrong.";

/// Measures what settling costs: the ledger against bare rows, paid calls against unpaid ones.
///
/// PostgreSQL runs in a cluster of its own with fsync on, kept on one core; the load generator, with the ledger's writer
/// or as pgbench, on another. For G1 to E1 the whole platform runs in real processes on a private network. Every verdict and
/// answer is checked, and at the end the books are. Prints one table; writes target/bench/settlement.json.
#[derive(Debug, Parser)]
#[command(
    name = "ailayer-bench-settlement",
    version,
    after_help = FIGURES,
    args_conflicts_with_subcommands = true
)]
pub struct Command {
    #[command(subcommand)]
    pub role: Option<Role>,
    #[command(flatten)]
    pub args: Args,
}

/// What else the program can be.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// A model server whose model does nothing.
    #[command(hide = true)]
    Null {
        #[arg(long)]
        dimensions: u32,
    },
    /// A hop that passes jobs on to a model server.
    #[command(hide = true)]
    Relay {
        #[arg(long)]
        model: SocketAddr,
    },
    /// A gateway whose ledger and log do nothing, started as `ailayer` starts the real one.
    #[command(hide = true)]
    Serve {
        service: Unbooked,
        #[arg(long)]
        config: PathBuf,
    },
    /// Puts the table of the last run between the markers of a page.
    Markdown {
        /// The page.
        file: PathBuf,
        /// Where the last run wrote.
        #[arg(long, default_value = "target/bench")]
        out: PathBuf,
    },
}

/// What can run without books.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Unbooked {
    /// The gateway.
    Gateway,
}

/// What is measured, and for how long.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// The figures, comma separated; all without it.
    #[arg(long, value_delimiter = ',', ignore_case = true)]
    pub only: Vec<Id>,
    #[command(flatten)]
    pub run: RunArgs,
    /// Accounts of L1.
    #[arg(long, default_value_t = ACCOUNTS, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    pub accounts: usize,
    /// Accounts of the smallest ledger of K1; each has ten entries.
    #[arg(long, default_value_t = SMALLEST, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub smallest: usize,
}

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Id {
    L1,
    #[value(name = "L1b")]
    L1b,
    L2,
    #[value(name = "L2b")]
    L2b,
    L3,
    L4,
    K1,
    #[value(name = "G1a")]
    G1a,
    #[value(name = "G1b")]
    G1b,
    G2,
    G3,
    #[value(name = "G3b")]
    G3b,
    G4,
    E1,
}

impl Id {
    /// As it is written in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L1b => "L1b",
            Self::L2 => "L2",
            Self::L2b => "L2b",
            Self::L3 => "L3",
            Self::L4 => "L4",
            Self::K1 => "K1",
            Self::G1a => "G1a",
            Self::G1b => "G1b",
            Self::G2 => "G2",
            Self::G3 => "G3",
            Self::G3b => "G3b",
            Self::G4 => "G4",
            Self::E1 => "E1",
        }
    }
}

impl Args {
    /// True if any of these is to be measured.
    pub fn wants(&self, ids: &[Id]) -> bool {
        self.only.is_empty() || ids.iter().any(|id| self.only.contains(id))
    }

    /// True if any number is smaller than the definitions'.
    pub fn is_short(&self) -> bool {
        self.run.is_short() || self.accounts < ACCOUNTS || self.smallest < SMALLEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_named_as_in_tables() {
        for name in REPORT.order {
            let command = Command::try_parse_from(["x", "--only", name]).unwrap();
            assert_eq!(command.args.only.first().map(|id| id.name()), Some(*name));
        }
        assert_eq!(Id::value_variants().len(), REPORT.order.len());
        let command = Command::try_parse_from(["x", "--only", "l1,K1"]).unwrap();
        assert!(command.args.wants(&[Id::L3, Id::L1]) && !command.args.wants(&[Id::L3]));
        assert!(Command::try_parse_from(["x"]).unwrap().args.wants(&[Id::L3]));
    }
}
