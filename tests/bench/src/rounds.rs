//! Rounds of a comparison: every arm in turn, there and back, and the noise rule.

use anyhow::Context as _;

use crate::args::Pace;
use crate::run::ArmRun;
use crate::statistics::median;

/// A baseline may vary by this share before its round is run again.
const STEADY: f64 = 0.10;
/// How often a noisy round is run again.
const RERUNS: usize = 2;

/// One run of every arm.
#[derive(Debug)]
pub struct Round {
    /// In the order of the arms.
    pub runs: Vec<ArmRun>,
    /// True if the baseline varied too much, or calls were refused, even in the last rerun.
    pub noisy: bool,
}

impl Round {
    /// The run of one arm.
    ///
    /// # Errors
    /// When there is no such arm.
    pub fn arm(&self, position: usize) -> anyhow::Result<&ArmRun> {
        self.runs.get(position).context("no such arm")
    }
}

/// Runs the arms `0..arms` in turn, there and back: A B, B A, A B …
///
/// A round whose baseline (the arm at `baseline`) varied by more than a tenth, within itself or against the rounds
/// before, or in which a call was refused, is run again, twice at most, and then kept as noisy.
///
/// # Errors
/// The first of an arm.
pub async fn rounds(
    pace: &Pace,
    arms: usize,
    baseline: usize,
    run: impl AsyncFn(usize) -> anyhow::Result<ArmRun>,
) -> anyhow::Result<Vec<Round>> {
    let mut rounds: Vec<Round> = Vec::new();
    for number in 0..pace.rounds {
        let back = number % 2 == 1;
        let mut round = one(arms, back, &run).await?;
        round.noisy = !steady(&rounds, &round, baseline) || refused(&round) > 0;
        for _ in 0..RERUNS {
            if !round.noisy || !pace.may_repeat() {
                break;
            }
            tell("~");
            round = one(arms, back, &run).await?;
            round.noisy = !steady(&rounds, &round, baseline) || refused(&round) > 0;
        }
        tell(".");
        rounds.push(round);
    }
    Ok(rounds)
}

async fn one(
    arms: usize,
    back: bool,
    run: &impl AsyncFn(usize) -> anyhow::Result<ArmRun>,
) -> anyhow::Result<Round> {
    let mut runs = vec![ArmRun::default(); arms];
    let mut order: Vec<usize> = (0..arms).collect();
    if back {
        order.reverse();
    }
    for position in order {
        if let Some(slot) = runs.get_mut(position) {
            *slot = run(position).await?;
        }
    }
    Ok(Round { runs, noisy: false })
}

/// Progress for whoever waits at a terminal.
#[expect(clippy::print_stderr, reason = "for people at a terminal")]
pub fn tell(what: &str) {
    eprint!("{what}");
}

fn steady(before: &[Round], round: &Round, baseline: usize) -> bool {
    let level = |round: &Round| round.runs.get(baseline).map_or(f64::NAN, |run| median(&run.halves));
    let near = |a: f64, b: f64| (a / b - 1.0).abs() <= STEADY;
    let halves = round.runs.get(baseline).map_or([f64::NAN; 2], |run| run.halves);
    let others: Vec<f64> = before.iter().map(level).collect();
    near(halves[0], halves[1]) && (others.is_empty() || near(level(round), median(&others)))
}

/// Our side, the other side, and their ratio, of something about two arms, a round.
///
/// # Errors
/// When there is no such arm.
pub fn ratios(
    rounds: &[Round],
    ours: usize,
    baseline: usize,
    value: impl Fn(&ArmRun) -> f64,
) -> anyhow::Result<Vec<(f64, f64, f64)>> {
    let of = |round: &Round| {
        let (ours, baseline) = (value(round.arm(ours)?), value(round.arm(baseline)?));
        Ok((ours, baseline, ours / baseline))
    };
    rounds.iter().map(of).collect()
}

/// The median over the rounds of something about one arm.
pub fn median_of(rounds: &[Round], arm: usize, value: impl Fn(&ArmRun) -> f64) -> f64 {
    let values: Vec<f64> = rounds.iter().filter_map(|round| round.runs.get(arm)).map(value).collect();
    median(&values)
}

/// True if a call of any round was refused: the latencies are then those of a smaller load.
pub fn any_refused(rounds: &[Round]) -> bool {
    rounds.iter().any(|round| refused(round) > 0)
}

fn refused(round: &Round) -> usize {
    round.runs.iter().map(|run| run.refused).sum()
}

/// True if any round was noise.
pub fn any_noisy(rounds: &[Round]) -> bool {
    rounds.iter().any(|round| round.noisy)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::{Duration, Instant};

    use super::*;

    fn round(halves: [f64; 2]) -> Round {
        Round { runs: vec![ArmRun { halves, ..ArmRun::default() }], noisy: false }
    }

    #[test]
    fn a_baseline_that_wanders_is_noise() {
        let before = [round([100.0, 102.0]), round([99.0, 101.0])];
        assert!(steady(&before, &round([100.0, 95.0]), 0));
        assert!(steady(&[], &round([50.0, 50.0]), 0));
        assert!(!steady(&before, &round([100.0, 80.0]), 0));
        assert!(!steady(&before, &round([80.0, 80.0]), 0));
        assert!(!steady(&before, &round([f64::NAN, 80.0]), 0));
    }

    /// A server that is overrun for a moment costs a round, not the run.
    #[tokio::test]
    async fn a_round_with_refused_calls_is_run_again() {
        for (until, remains) in [(1, false), (9, true)] {
            let runs = RefCell::new(0);
            let all = rounds(&Pace { rounds: 1, ..pace(Instant::now()) }, 1, 0, async |_| {
                *runs.borrow_mut() += 1;
                let refused = usize::from(*runs.borrow() <= until);
                Ok(ArmRun { halves: [1.0, 1.0], refused, ..ArmRun::default() })
            })
            .await
            .unwrap();
            assert_eq!((any_refused(&all), any_noisy(&all)), (remains, remains));
            assert_eq!(*runs.borrow(), if remains { 1 + RERUNS } else { 2 });
        }
    }

    fn pace(began: Instant) -> Pace {
        Pace { rounds: 2, arm: Duration::ZERO, warm_up: Duration::ZERO, began }
    }

    #[tokio::test]
    async fn arms_go_there_and_back_and_noise_is_run_again() {
        let order = RefCell::new(Vec::new());
        // The baseline is arm 1; its second round is noise twice, and then good.
        let all = rounds(&pace(Instant::now()), 2, 1, async |arm| {
            let mut order = order.borrow_mut();
            order.push(arm);
            let halves = if (3..=6).contains(&order.len()) { [1.0, 2.0] } else { [1.0, 1.0] };
            Ok(ArmRun { halves, rate: 3.0, ..ArmRun::default() })
        })
        .await
        .unwrap();
        assert_eq!(*order.borrow(), [0, 1, 1, 0, 1, 0, 1, 0]);
        assert_eq!((all.len(), any_noisy(&all)), (2, false));
        assert!(ratios(&all, 0, 1, |run| run.rate).unwrap().iter().all(|it| *it == (3.0, 3.0, 1.0)));
        assert!(ratios(&all, 0, 2, |run| run.rate).is_err());
    }
}
