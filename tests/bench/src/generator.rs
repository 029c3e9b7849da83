//! Load: closed loops for throughput, open loops for latency.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;

use crate::run::{ArmRun, Done, Window};

/// Keeps `concurrency` calls in flight until the end of the window; `call` is told which of the callers it is.
///
/// # Errors
/// The first of a call.
pub async fn closed_loop(
    concurrency: usize,
    window: Window,
    call: impl AsyncFn(usize) -> anyhow::Result<Done>,
) -> anyhow::Result<Vec<Done>> {
    let done = RefCell::new(Vec::new());
    let caller = async |caller: usize| {
        while Instant::now() < window.end {
            let answered = call(caller).await?;
            done.borrow_mut().push(answered);
        }
        anyhow::Ok(())
    };
    futures::future::try_join_all((0..concurrency).map(caller)).await?;
    Ok(done.into_inner())
}

/// Reads something where a window begins and where it ends.
///
/// # Errors
/// Those of the readings.
pub async fn at_edges<T>(
    window: Window,
    reading: impl AsyncFn() -> anyhow::Result<T>,
) -> anyhow::Result<(T, T)> {
    tokio::time::sleep_until(window.begin.into()).await;
    let before = reading().await?;
    tokio::time::sleep_until(window.end.into()).await;
    Ok((before, reading().await?))
}

/// Starts a call at each time of a trace, whatever became of the ones before; answers in the order of their ends.
///
/// A thread of its own keeps the time: the runtime's timers are good to a millisecond only.
///
/// # Errors
/// The first of a call.
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

/// The error of a call that the server turned away because it had too much to do.
#[derive(Debug)]
pub struct Refused(pub String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a call was refused: {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// What became of the calls of a trace.
#[derive(Debug)]
pub struct Offered {
    /// The answered ones.
    pub done: Vec<Done>,
    /// How many failed with [`Refused`].
    pub refused: usize,
}

/// Plays a trace against `call`, as [`open_loop`] does; a call that is [`Refused`] is counted, and the others go on.
///
/// # Errors
/// The first other one of a call.
pub async fn offered(
    trace: &[Duration],
    begin: Instant,
    call: impl AsyncFn(usize, Instant) -> anyhow::Result<Done>,
) -> anyhow::Result<Offered> {
    let outcomes = open_loop(trace, begin, async |index, due| match call(index, due).await {
        Err(error) if error.is::<Refused>() => Ok(None),
        ended => ended.map(Some),
    })
    .await?;
    let refused = outcomes.iter().filter(|done| done.is_none()).count();
    Ok(Offered { done: outcomes.into_iter().flatten().collect(), refused })
}

/// Plays a trace, with its warm-up, against `call`, which is told the number of the call and when it was due.
///
/// # Errors
/// The first of a call that is not [`Refused`].
pub async fn traced(
    trace: &[Duration],
    warm_up: Duration,
    call: impl AsyncFn(usize, Instant) -> anyhow::Result<Done>,
) -> anyhow::Result<ArmRun> {
    let begin = soon();
    let Offered { done, refused } = offered(trace, begin, call).await?;
    let window = Window { begin: begin + warm_up, end: Instant::now() };
    Ok(ArmRun { refused, ..ArmRun::of_latencies(&done, window) })
}

/// When a trace may begin: a little ahead, so that the clock's thread is there before the first call is due.
pub fn soon() -> Instant {
    Instant::now() + Duration::from_millis(20)
}
