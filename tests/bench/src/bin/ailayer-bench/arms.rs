//! The arms of a comparison, and rounds of them.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use ailayer_bench::client::Client;
use ailayer_bench::corpus::{Corpus, Ring};
use ailayer_bench::generator::traced;
use ailayer_bench::rounds::{Round, rounds};
use ailayer_bench::run::{ArmRun, Done};
use ailayer_bench::server::Server;
use anyhow::Context as _;

use crate::generator::{embed_in_closed_loop, neighbour};
use crate::plan::Plan;
use crate::raw_arm::RawArm;

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

impl Ground {
    /// Runs an arm with its warm-up.
    pub async fn run(&self, arm: Arm<'_>, corpus: &Arc<Corpus>, length: Duration) -> anyhow::Result<ArmRun> {
        let warm_up = self.plan.pace.warm_up;
        match arm {
            Arm::Served { server, concurrency } => {
                let run =
                    embed_in_closed_loop(server, &self.plan.model, corpus, concurrency, warm_up, length)
                        .await?;
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
                let client = Client::new(&server.channels, &self.plan.model);
                let ring = Ring::default();
                traced(trace, warm_up, async |call, due| {
                    Ok(client.embed_next(call, corpus, &ring).await?.since(due))
                })
                .await
            }
            Arm::HopTrace { server, trace } => {
                let client = Client::new(&server.channels, "null");
                let ring = Ring::default();
                traced(trace, warm_up, async |call, due| {
                    let text = &corpus.text(ring.next(corpus))?.text;
                    let answer = client.embed(call, text, None).await?;
                    let answer = answer.map_err(|code| anyhow::anyhow!("a call was refused: {code:?}"))?;
                    Ok(answer.since(due))
                })
                .await
            }
            Arm::RawTrace { trace } => {
                let client = Client::new(&self.null.channels, "null");
                let ring = Ring::default();
                traced(trace, warm_up, async |call, due| {
                    let index = ring.next(corpus);
                    let text = &corpus.text(index)?.text;
                    let both =
                        futures::try_join!(self.raw.embed(corpus, index), client.embed(call, text, None));
                    let at = both?.0;
                    Ok(Done { at, count: 1, latency: at.saturating_duration_since(due) })
                })
                .await
            }
        }
    }

    /// Runs the arms in turn; see [`rounds`].
    pub async fn rounds(
        &self,
        arms: &[Arm<'_>],
        baseline: usize,
        corpus: &Arc<Corpus>,
    ) -> anyhow::Result<Vec<Round>> {
        let run = async |position: usize| {
            let arm = arms.get(position).copied().context("no such arm")?;
            self.run(arm, corpus, self.plan.pace.arm).await
        };
        rounds(&self.plan.pace, arms.len(), baseline, run).await
    }
}
