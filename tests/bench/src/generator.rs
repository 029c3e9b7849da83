//! Load on a server: closed loops for throughput, open loops for latency.

use std::cell::RefCell;
use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::corpus::{Corpus, Ring};
use crate::counters::Counters;
use crate::run::{ArmRun, Done, Window, half_rates, latencies_ms, rate};
use crate::server::Server;
use crate::usage::{Of, processor_seconds};

/// Keeps `concurrency` calls in flight; every answer is compared. Any refusal fails the arm.
pub async fn closed_loop(
    server: &Server,
    model: &str,
    corpus: &Corpus,
    concurrency: usize,
    warm_up: Duration,
    length: Duration,
) -> anyhow::Result<ArmRun> {
    let client = Client::new(server, model);
    let window = Window::after(warm_up, length);
    let (ring, done, oldest) = (Ring::default(), RefCell::new(Vec::new()), RefCell::new(Duration::ZERO));
    let one = async |worker: usize| {
        loop {
            let sent = Instant::now();
            if sent >= window.end {
                return anyhow::Ok(());
            }
            let index = ring.next(corpus);
            let answer = client.embed(worker, &corpus.text(index)?.text, None).await?;
            let answer = answer.map_err(|code| anyhow::anyhow!("a call was refused: {code:?}"))?;
            corpus.check(index, &answer.values).context("served")?;
            done.borrow_mut().push(Done { at: answer.at, texts: 1, latency: answer.at - sent });
            if answer.at >= window.begin {
                let longest = answer.wait.max(*oldest.borrow());
                oldest.replace(longest);
            }
        }
    };
    let workers = futures::future::try_join_all((0..concurrency).map(one));
    let (_, (seconds, counted)) = futures::try_join!(workers, metered(server, model, window))?;
    let done = done.into_inner();
    let texts = done.iter().filter(|d| window.begin <= d.at && d.at < window.end).count();
    Ok(ArmRun {
        rate: rate(&done, window),
        latencies_ms: latencies_ms(&done, window),
        halves: half_rates(&done, window),
        processor_seconds_a_text: seconds / texts as f64,
        oldest_wait: oldest.into_inner(),
        counted: Some(counted),
    })
}

/// What the server used and counted within a window.
async fn metered(server: &Server, model: &str, window: Window) -> anyhow::Result<(f64, Counters)> {
    let reading = async || {
        let counted = match server.admin {
            Some(admin) => Counters::read(admin, model).await?,
            None => Counters::default(),
        };
        anyhow::Ok((processor_seconds(Of::Process(server.process))?, counted))
    };
    tokio::time::sleep_until(window.begin.into()).await;
    let (used, counted) = reading().await?;
    tokio::time::sleep_until(window.end.into()).await;
    let (used_after, counted_after) = reading().await?;
    Ok((used_after - used, counted_after.since(counted)))
}

/// Starts a call at each time of a trace, whatever became of the ones before; answers in the order of their ends.
///
/// A thread of its own keeps the time: the runtime's timers are good to a millisecond only.
pub async fn open_loop<T, F: Future<Output = anyhow::Result<T>>>(
    trace: &[Duration],
    begin: Instant,
    call: impl Fn(usize, Instant) -> F,
) -> anyhow::Result<Vec<T>> {
    let (due, mut dues) = mpsc::unbounded_channel();
    let times = trace.to_vec();
    let clock = std::thread::Builder::new().name("clock".to_owned()).spawn(move || {
        for (index, time) in times.into_iter().enumerate() {
            let at = begin + time;
            if let Some(left) = at.checked_duration_since(Instant::now()) {
                std::thread::sleep(left);
            }
            if due.send((index, at)).is_err() {
                return;
            }
        }
    })?;
    let (mut calls, mut answers, mut open) = (FuturesUnordered::new(), Vec::with_capacity(trace.len()), true);
    while open || !calls.is_empty() {
        tokio::select! {
            next = dues.recv(), if open => match next {
                Some((index, at)) => calls.push(call(index, at)),
                None => open = false,
            },
            Some(answer) = calls.next() => answers.push(answer?),
        }
    }
    clock.join().map_err(|_| anyhow::anyhow!("the clock's thread panicked"))?;
    Ok(answers)
}

/// Calls a server at a steady rate and throws the answers away, until dropped.
pub async fn neighbour(null: &Server, corpus: &Corpus, rate: f64) -> anyhow::Result<()> {
    let client = Client::new(null, "null");
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
