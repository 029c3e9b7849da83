//! The command line.

use std::path::PathBuf;

use ailayer_bench::args::RunArgs;
use ailayer_bench::report::Report;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// `serving.json`, and the page's markers.
pub const REPORT: Report =
    Report { name: "serving", order: &["S1", "S2a", "S2b", "S3", "S4", "S5a", "S5b", "K2", "MEM"] };

/// What each figure is, for people who ask the program.
const FIGURES: &str = "\
Figures (docs/reference/serving-benchmarks.md has the definitions):
  S1   128 tokens, 8 calls in flight: texts/s served / bare engine at its best batch        >= 0.97
  S2a  16 tokens, 32 calls in flight: texts/s served / bare engine, batch 1                 >= 1.0
  S2b  the same / bare engine at its best batch                                             >= 0.90
  S3   the same with batching / without                                                     >= 1.3
  S4   mixed lengths, 32 in flight: tokens run with padding / without                       <= 1.10
  S5a  p99 at 10 % load less the bare engine's, ms                                          <= 1.0
  S5b  p99 at 70 % load / a bare first-in-first-out worker's on the same trace              <= 1.2
  K2   three times too much load: texts/s answered in time / at most                        >= 0.90
  MEM  growth of resident memory, MiB per 100,000 requests                                  < 1.0

Examples:
  ailayer-bench                                       everything, 25 to 30 minutes
  ailayer-bench --only S1,S2a                         two of them
  ailayer-bench --only S2a --rounds 2 --seconds 2 --warm-up 1     a quick look, marked SHORT
  ailayer-bench --only K2 --keep                      one again; the file's other figures stay
  ailayer-bench markdown docs/reference/serving-benchmarks.md     put the last table into the page

Exit status: 0 measured (whether or not the goals are met), 1 not measured or a wrong answer seen.";

/// Compares the serving path with the bare engine, side by side in one run.
///
/// The server runs in a process of its own, kept on one core; the load generator on another. The baseline is the
/// same engine, session and tokenizer called straight, on the server's core, while the generator drives a null
/// server at the same rate. Every answer is compared. Prints one table; writes target/bench/serving.json.
#[derive(Debug, Parser)]
#[command(name = "ailayer-bench", version, after_help = FIGURES, args_conflicts_with_subcommands = true)]
pub struct Command {
    #[command(subcommand)]
    pub role: Option<Role>,
    #[command(flatten)]
    pub args: Args,
}

/// What else the program can be.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Puts the table of the last run between the markers of a page.
    Markdown {
        /// The page.
        file: PathBuf,
        /// Where the last run wrote.
        #[arg(long, default_value = "target/bench")]
        out: PathBuf,
    },
    /// The server under test: `ailayer serve model-serving` in a smaller binary.
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        config: PathBuf,
    },
    /// The null server.
    #[command(hide = true)]
    Null {
        #[arg(long)]
        dimensions: u32,
    },
}

/// What is measured, and for how long.
#[derive(Debug, Clone, ClapArgs)]
pub struct Args {
    /// The figures, comma separated; all without it.
    #[arg(long, value_delimiter = ',', ignore_case = true)]
    pub only: Vec<Id>,
    #[command(flatten)]
    pub run: RunArgs,
    /// Seconds of overload (K2).
    #[arg(long, default_value_t = 60.0)]
    pub overload_seconds: f64,
    /// Requests to the identity model (MEM).
    #[arg(long, default_value_t = 1_000_000)]
    pub identity_requests: usize,
    /// Texts to the embedding model (MEM).
    #[arg(long, default_value_t = 20_000)]
    pub memory_texts: usize,
    /// The most texts that the batching server runs together; the service's default without it.
    #[arg(long)]
    pub max_batch_rows: Option<usize>,
    /// The model, a folder of the repository.
    #[arg(long, default_value = "all-minilm-l6-v2")]
    pub model: String,
    /// The repository; `AILAYER_MODELS` or what `make setup` made without it.
    #[arg(long)]
    pub models: Option<PathBuf>,
    /// The server's command, taking `--config FILE`; this program's own server without it.
    ///
    /// For instance 'target/release/ailayer serve model-serving'.
    #[arg(long)]
    pub server: Option<String>,
}

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "verbatim")]
pub enum Id {
    S1,
    #[value(name = "S2a")]
    S2a,
    #[value(name = "S2b")]
    S2b,
    S3,
    S4,
    #[value(name = "S5a")]
    S5a,
    #[value(name = "S5b")]
    S5b,
    K2,
    #[value(name = "MEM")]
    Mem,
}

impl Id {
    /// As it is written in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S1 => "S1",
            Self::S2a => "S2a",
            Self::S2b => "S2b",
            Self::S3 => "S3",
            Self::S4 => "S4",
            Self::S5a => "S5a",
            Self::S5b => "S5b",
            Self::K2 => "K2",
            Self::Mem => "MEM",
        }
    }
}

impl Args {
    /// True if any of these is to be measured.
    pub fn wants(&self, ids: &[Id]) -> bool {
        self.only.is_empty() || ids.iter().any(|id| self.only.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_named_as_in_tables() {
        let command = Command::try_parse_from(["x", "--only", "S1,s2a,MEM,K2"]).unwrap();
        assert_eq!(command.args.only, [Id::S1, Id::S2a, Id::Mem, Id::K2]);
        assert!(command.args.wants(&[Id::S3, Id::S2a]) && !command.args.wants(&[Id::S3]));
        assert!(Command::try_parse_from(["x"]).unwrap().args.wants(&[Id::S3]));
    }
}
