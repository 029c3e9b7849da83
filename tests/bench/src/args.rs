//! The command line that benches share: how long, how often, and where the results go.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::cores::Cores;

/// The whole run ends within this; no noisy round is repeated in its last minutes.
const WHOLE: Duration = Duration::from_secs(30 * 60);
/// What is kept for what comes after a repetition.
const RESERVE: Duration = Duration::from_secs(8 * 60);
/// The definitions' numbers.
const ROUNDS: usize = 7;
const SECONDS: f64 = 10.0;
const WARM_UP_SECONDS: f64 = 3.0;

/// The arguments of every bench.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Rounds of each comparison.
    #[arg(long, default_value_t = ROUNDS, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100))]
    pub rounds: usize,
    /// Seconds of an arm.
    #[arg(long, default_value_t = SECONDS, value_parser = seconds)]
    pub seconds: f64,
    /// Seconds before each arm that are not timed.
    #[arg(long, default_value_t = WARM_UP_SECONDS, value_parser = seconds)]
    pub warm_up: f64,
    /// Do not keep the sides on cores of their own.
    #[arg(long)]
    pub unpinned: bool,
    /// Where the results go.
    #[arg(long, default_value = "target/bench")]
    pub out: PathBuf,
    /// Keep the last run's figures that this one does not measure.
    #[arg(long)]
    pub keep: bool,
    /// Put the table into this page afterwards, too.
    #[arg(long)]
    pub markdown: Option<PathBuf>,
}

impl RunArgs {
    /// The cores of the two sides; none if they shall not or cannot be kept apart.
    pub fn cores(&self) -> Option<Cores> {
        if self.unpinned { None } else { Cores::choose().filter(|_| has_taskset()) }
    }

    /// How long and how often, from now.
    ///
    /// # Errors
    /// For seconds that are no time.
    pub fn pace(&self) -> anyhow::Result<Pace> {
        Ok(Pace {
            rounds: self.rounds,
            arm: Duration::try_from_secs_f64(self.seconds)?,
            warm_up: Duration::try_from_secs_f64(self.warm_up)?,
            began: Instant::now(),
        })
    }

    /// True if any number is smaller than the definitions'.
    pub fn is_short(&self) -> bool {
        self.rounds < ROUNDS || self.seconds < SECONDS || self.warm_up < WARM_UP_SECONDS
    }
}

/// The lengths and counts of one run.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Rounds of each comparison.
    pub rounds: usize,
    /// The timed part of an arm.
    pub arm: Duration,
    /// What runs before it, untimed.
    pub warm_up: Duration,
    /// When the run began.
    pub began: Instant,
}

impl Pace {
    /// The same with shorter arms, for comparisons that have many.
    #[must_use]
    pub fn shortened(self, share: f64) -> Self {
        Self { arm: self.arm.mul_f64(share), warm_up: self.warm_up.mul_f64(share), ..self }
    }

    /// True while there is time for a noisy round to be run again.
    pub fn may_repeat(&self) -> bool {
        self.began.elapsed() < WHOLE.saturating_sub(RESERVE)
    }

    /// The minutes since the run began.
    pub fn minutes(&self) -> f64 {
        self.began.elapsed().as_secs_f64() / 60.0
    }
}

/// Seconds of an arm: a tenth of a second, so that something happens, to an hour.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "must be a number".to_owned())?;
    let sound = (0.1..=3600.0).contains(&seconds);
    if sound { Ok(seconds) } else { Err("must be 0.1 to 3600".to_owned()) }
}

fn has_taskset() -> bool {
    let is_there = |folder: PathBuf| folder.join("taskset").is_file();
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(is_there))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        run: RunArgs,
    }

    fn parse(arguments: &[&str]) -> Result<RunArgs, clap::Error> {
        let all = std::iter::once("x").chain(arguments.iter().copied());
        Ok(Command::try_parse_from(all)?.run)
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert!(!parse(&[]).unwrap().is_short());
        let short = parse(&["--seconds", "0.5", "--warm-up", "0.1", "--rounds", "1"]).unwrap();
        assert!(short.is_short() && short.pace().unwrap().arm == Duration::from_millis(500));
        for wrong in [["--seconds", "0"], ["--seconds", "nan"], ["--warm-up", "1e9"], ["--rounds", "0"]] {
            assert!(parse(&wrong).is_err(), "{wrong:?}");
        }
    }
}
