//! Load on a model server: the served arm's, and the neighbour's.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use ailayer_bench::client::Client;
use ailayer_bench::corpus::{Corpus, Ring};
use ailayer_bench::counters::Counters;
use ailayer_bench::generator::{at_edges, closed_loop};
use ailayer_bench::run::{ArmRun, Window, count};
use ailayer_bench::server::Server;
use ailayer_bench::usage::{Of, processor_seconds};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

/// Keeps `concurrency` calls in flight; every answer is compared. Any refusal fails the arm.
pub async fn embed_in_closed_loop(
    server: &Server,
    model: &str,
    corpus: &Corpus,
    concurrency: usize,
    warm_up: Duration,
    length: Duration,
) -> anyhow::Result<ArmRun> {
    let client = Client::new(&server.channels, model);
    let window = Window::after(warm_up, length);
    let (ring, oldest) = (Ring::default(), RefCell::new(Duration::ZERO));
    let calls = closed_loop(concurrency, window, async |worker| {
        let sent = Instant::now();
        let answer = client.embed_next(worker, corpus, &ring).await?;
        if answer.at >= window.begin {
            let longest = answer.wait.max(*oldest.borrow());
            oldest.replace(longest);
        }
        Ok(answer.since(sent))
    });
    let reading = async || {
        let counted = match server.admin {
            Some(admin) => Counters::read(admin, model).await?,
            None => Counters::default(),
        };
        anyhow::Ok((processor_seconds(Of::Process(server.process))?, counted))
    };
    let (done, (before, after)) = futures::try_join!(calls, at_edges(window, reading))?;
    Ok(ArmRun {
        server_seconds_each: (after.0 - before.0) / count(&done, window) as f64,
        oldest_wait: oldest.into_inner(),
        counted: Some(after.1.since(before.1)),
        ..ArmRun::of_rate(&done, window)
    })
}

/// Calls a server at a steady rate and throws the answers away, until dropped.
pub async fn neighbour(null: &Server, corpus: &Corpus, rate: f64) -> anyhow::Result<()> {
    let client = Client::new(&null.channels, "null");
    let (ring, begin) = (Ring::default(), Instant::now());
    let (mut sent, mut calls) = (0_usize, FuturesUnordered::new());
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    loop {
        tokio::select! {
            _ = tick.tick() => {
                while (sent as f64) < begin.elapsed().as_secs_f64() * rate {
                    let text = &corpus.text(ring.next(corpus))?.text;
                    calls.push(client.embed(sent, text, None));
                    sent += 1;
                }
            }
            Some(answer) = calls.next() => drop(answer?),
        }
    }
}
