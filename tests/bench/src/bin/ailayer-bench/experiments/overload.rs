//! K2: three times too much load, then none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_bench::client::Client;
use ailayer_bench::corpus::{Corpus, Ring};
use ailayer_bench::figure::{Better, Figure};
use ailayer_bench::generator::open_loop;
use ailayer_bench::run::ArmRun;
use ailayer_bench::schedule::poisson;
use ailayer_bench::server::Server;
use ailayer_bench::statistics::quantile;
use tonic::Code;

use super::milliseconds;
use crate::args::Id;
use crate::arms::Ground;
use crate::generator::embed_in_closed_loop;

const CONCURRENCY: usize = 8;
const GOAL: f64 = 0.90;
const OVERLOAD: f64 = 3.0;
/// The deadline in single calls of the bare engine.
const DEADLINE_CALLS: f64 = 20.0;
/// The slowest a refusal may be at the 99th percentile.
const REFUSAL_MS: f64 = 50.0;
/// A call sent later than this after its time was not sent as scheduled.
const LATE: Duration = Duration::from_millis(20);
/// What must have been sent.
const SENT: f64 = 0.95;
/// After the load, the server has so long to be as before.
const RECOVERY: Duration = Duration::from_secs(5);
const SEED: u64 = 0xB2;

/// The end of one call.
struct Ended {
    in_time: bool,
    refused: bool,
    latency: Duration,
    sent_late: bool,
}

/// Measures K2.
pub async fn measure(ground: &Ground, server: &Server, corpus: &Arc<Corpus>) -> anyhow::Result<Figure> {
    let plan = &ground.plan;
    let single = ground
        .raw
        .closed_loop(corpus, 1, plan.pace.warm_up / 2, plan.pace.arm.min(Duration::from_secs(3)))
        .await?;
    let deadline = Duration::from_secs_f64(DEADLINE_CALLS / single.rate);
    let before =
        embed_in_closed_loop(server, &plan.model, corpus, CONCURRENCY, plan.pace.warm_up, plan.pace.arm)
            .await?;
    let peak = before.rate * share_within(&before, deadline);

    let trace = poisson(SEED, before.rate * OVERLOAD, plan.overload);
    let client = Client::new(&server.channels, &plan.model);
    let ring = Ring::default();
    let call = async |number: usize, due: Instant| {
        let sent = Instant::now();
        let index = ring.next(corpus);
        let answer = client.embed(number, &corpus.text(index)?.text, Some(deadline)).await?;
        let latency = due.elapsed();
        if let Ok(answer) = &answer {
            corpus.check(index, &answer.values)?;
        }
        anyhow::Ok(Ended {
            in_time: answer.is_ok() && latency <= deadline,
            refused: matches!(answer, Err(Code::ResourceExhausted)),
            latency,
            sent_late: sent.saturating_duration_since(due) > LATE,
        })
    };
    let begin = Instant::now() + Duration::from_millis(20);
    let ended = open_loop(&trace, begin, call).await?;
    let lasted = plan.overload.as_secs_f64();

    tokio::time::sleep(RECOVERY).await;
    let after = embed_in_closed_loop(
        server,
        &plan.model,
        corpus,
        CONCURRENCY,
        Duration::ZERO,
        plan.pace.arm.min(RECOVERY),
    )
    .await;
    let recovered = after.as_ref().is_ok_and(|after| after.rate >= GOAL * before.rate);

    let count = |which: fn(&Ended) -> bool| ended.iter().filter(|call| which(call)).count() as f64;
    let good = count(|call| call.in_time) / lasted;
    let on_time = count(|call| !call.sent_late) / trace.len() as f64;
    let others = count(|call| !call.in_time && !call.refused);
    let refusals: Vec<f64> =
        ended.iter().filter(|call| call.refused).map(|call| milliseconds(call.latency)).collect();
    let refusal_p99 = quantile(&refusals, 0.99);
    let figure =
        Figure::of(Id::K2.name(), Better::Higher, GOAL, "texts/s in time", &[(good, peak, good / peak)]);
    Ok(unmet(figure, others, refusal_p99, recovered)
        .void_if(on_time < SENT, "less than 95 % was sent in time")
        .note("sent", trace.len() as f64)
        .note("sent in time share", on_time)
        .note("deadline ms", milliseconds(deadline))
        .note("refused", refusals.len() as f64)
        .note("refusal p99 ms", refusal_p99)
        .note("neither in time nor refused", others)
        .note("texts/s 5 s later", after.map_or(0.0, |after| after.rate)))
}

/// The conditions besides the ratio: without them the figure does not hold, but it still says something.
fn unmet(mut figure: Figure, others: f64, refusal_p99: f64, recovered: bool) -> Figure {
    if others > 0.0 || refusal_p99 > REFUSAL_MS || !recovered {
        figure.holds = false;
    }
    figure
}

fn share_within(run: &ArmRun, deadline: Duration) -> f64 {
    let limit = milliseconds(deadline);
    let within = run.latencies_ms.iter().filter(|latency| **latency <= limit).count();
    within as f64 / run.latencies_ms.len() as f64
}
