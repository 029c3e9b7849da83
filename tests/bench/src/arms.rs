//! The arms of a comparison, and rounds of them.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::client::Client;
use crate::corpus::{Corpus, Ring};
use crate::generator::{closed_loop, neighbour, open_loop};
use crate::plan::Plan;
use crate::raw_arm::RawArm;
use crate::run::{ArmRun, Done, Window, latencies_ms};
use crate::server::Server;
use crate::statistics::median;

/// A baseline may vary by this share before its round is run again.
const STEADY: f64 = 0.10;
/// How often a noisy round is run again.
const RERUNS: usize = 2;

/// One side of a comparison.
#[derive(Clone, Copy)]
pub enum Arm<'a> {
    /// Closed loop over gRPC.
    Served { server: &'a Server, concurrency: usize },
    /// The engine alone, in batches, beside a neighbour that calls the null server.
    Raw { rows: usize },
    /// A trace over gRPC.
    ServedTrace { server: &'a Server, trace: &'a [Duration] },
    /// The same trace to the engine alone, first in first out, and to the null server.
    RawTrace { trace: &'a [Duration] },
    /// The same trace to a null server alone: what the hop takes without any service behind it.
    HopTrace { server: &'a Server, trace: &'a [Duration] },
}

/// What all arms share.
pub struct Ground {
    /// The baseline's thread.
    pub raw: RawArm,
    /// The neighbour's server.
    pub null: Server,
    /// Lengths and counts.
    pub plan: Plan,
    /// The rate at which the neighbour calls: that of the last served arm.
    pub rate: Cell<f64>,
}

/// One run of every arm.
pub struct Round {
    /// In the order of the arms.
    pub runs: Vec<ArmRun>,
    /// True if the baseline varied too much even in the last rerun.
    pub noisy: bool,
}

impl Ground {
    /// Runs an arm with its warm-up.
    pub async fn run(&self, arm: Arm<'_>, corpus: &Arc<Corpus>, length: Duration) -> anyhow::Result<ArmRun> {
        let warm_up = self.plan.warm_up;
        match arm {
            Arm::Served { server, concurrency } => {
                let run = closed_loop(server, &self.plan.model, corpus, concurrency, warm_up, length).await?;
                self.rate.set(run.rate);
                Ok(run)
            }
            Arm::Raw { rows } => tokio::select! {
                run = self.raw.closed_loop(corpus, rows, warm_up, length) => run,
                ended = neighbour(&self.null, corpus, self.rate.get()) => {
                    Err(ended.err().context("the neighbour ended")?)
                }
            },
            Arm::ServedTrace { server, trace } => {
                let client = Client::new(server, &self.plan.model);
                let ring = Ring::default();
                self.traced(trace, async |call, due| {
                    let index = ring.next(corpus);
                    let answer = client.embed(call, &corpus.text(index)?.text, None).await?;
                    let answer = answer.map_err(|code| anyhow::anyhow!("a call was refused: {code:?}"))?;
                    corpus.check(index, &answer.values).context("served")?;
                    Ok(Done { at: answer.at, texts: 1, latency: answer.at.saturating_duration_since(due) })
                })
                .await
            }
            Arm::HopTrace { server, trace } => {
                let client = Client::new(server, "null");
                let ring = Ring::default();
                self.traced(trace, async |call, due| {
                    let text = &corpus.text(ring.next(corpus))?.text;
                    let answer = client.embed(call, text, None).await?;
                    let at = answer.map_err(|code| anyhow::anyhow!("a call was refused: {code:?}"))?.at;
                    Ok(Done { at, texts: 1, latency: at.saturating_duration_since(due) })
                })
                .await
            }
            Arm::RawTrace { trace } => {
                let client = Client::new(&self.null, "null");
                let ring = Ring::default();
                self.traced(trace, async |call, due| {
                    let index = ring.next(corpus);
                    let text = &corpus.text(index)?.text;
                    let both =
                        futures::try_join!(self.raw.embed(corpus, index), client.embed(call, text, None));
                    let at = both?.0;
                    Ok(Done { at, texts: 1, latency: at.saturating_duration_since(due) })
                })
                .await
            }
        }
    }

    async fn traced(
        &self,
        trace: &[Duration],
        call: impl AsyncFn(usize, Instant) -> anyhow::Result<Done>,
    ) -> anyhow::Result<ArmRun> {
        // A little ahead, so that the clock's thread is there before the first call is due.
        let begin = Instant::now() + Duration::from_millis(20);
        let done = open_loop(trace, begin, |index, due| call(index, due)).await?;
        let window = Window { begin: begin + self.plan.warm_up, end: Instant::now() };
        let latencies = latencies_ms(&done, window);
        let (first, second) = latencies.split_at(latencies.len() / 2);
        Ok(ArmRun {
            halves: [median(first), median(second)],
            latencies_ms: latencies.clone(),
            ..ArmRun::default()
        })
    }

    /// Runs the arms in turn, there and back: A B, B A, A B …
    ///
    /// A round whose baseline (the arm at `baseline`) varied by more than a tenth, within itself or against the rounds
    /// before, is run again, twice at most, and then kept as noisy.
    pub async fn rounds(
        &self,
        arms: &[Arm<'_>],
        baseline: usize,
        corpus: &Arc<Corpus>,
    ) -> anyhow::Result<Vec<Round>> {
        let mut rounds: Vec<Round> = Vec::new();
        for number in 0..self.plan.rounds {
            let mut round = self.round(arms, number % 2 == 1, corpus).await?;
            for _ in 0..RERUNS {
                round.noisy = !steady(&rounds, &round, baseline);
                if !round.noisy || !self.plan.may_repeat() {
                    break;
                }
                eprint!("~");
                round = self.round(arms, number % 2 == 1, corpus).await?;
                round.noisy = !steady(&rounds, &round, baseline);
            }
            eprint!(".");
            rounds.push(round);
        }
        Ok(rounds)
    }

    async fn round(&self, arms: &[Arm<'_>], back: bool, corpus: &Arc<Corpus>) -> anyhow::Result<Round> {
        let mut runs = vec![ArmRun::default(); arms.len()];
        let mut order: Vec<usize> = (0..arms.len()).collect();
        if back {
            order.reverse();
        }
        for position in order {
            if let (Some(arm), Some(run)) = (arms.get(position), runs.get_mut(position)) {
                *run = self.run(*arm, corpus, self.plan.arm).await?;
            }
        }
        Ok(Round { runs, noisy: false })
    }
}

impl Round {
    /// The run of one arm.
    pub fn arm(&self, position: usize) -> anyhow::Result<&ArmRun> {
        self.runs.get(position).context("no such arm")
    }
}

fn steady(before: &[Round], round: &Round, baseline: usize) -> bool {
    let level = |round: &Round| round.runs.get(baseline).map_or(f64::NAN, |run| median(&run.halves));
    let near = |a: f64, b: f64| (a / b - 1.0).abs() <= STEADY;
    let halves = round.runs.get(baseline).map_or([f64::NAN; 2], |run| run.halves);
    let others: Vec<f64> = before.iter().map(level).collect();
    near(halves[0], halves[1]) && (others.is_empty() || near(level(round), median(&others)))
}

#[cfg(test)]
mod tests {
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
}
