use std::sync::mpsc;

use super::*;

const LIMITS: QueueLimits = QueueLimits { max_entries: 2, max_bytes: 1000 };

/// A worker whose handler reports each input, then waits for permission or cancellation.
struct Gated {
    worker: Arc<Worker<u32, u32>>,
    started: mpsc::Receiver<u32>,
    permit: mpsc::Sender<()>,
}

fn gated() -> Gated {
    let (report, started) = mpsc::channel();
    let (permit, permits) = mpsc::channel::<()>();
    let handler = move |input: u32, cancel: &CancelToken| {
        report.send(input).unwrap();
        while !cancel.is_cancelled() {
            if permits.recv_timeout(Duration::from_millis(5)).is_ok() {
                break;
            }
        }
        input * 2
    };
    let worker = Arc::new(Worker::spawn("gated", LIMITS, vec![handler]).unwrap());
    Gated { worker, started, permit }
}

#[expect(clippy::disallowed_methods, reason = "a test owns its calls by their handles")]
fn call(gated: &Gated, input: u32) -> tokio::task::JoinHandle<Result<u32, WorkerError>> {
    let worker = Arc::clone(&gated.worker);
    tokio::spawn(async move { worker.call(input, 1).await.map(|done| done.output) })
}

async fn until_queued(gated: &Gated, count: usize) {
    while gated.worker.queue_len() != count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers() {
    let handlers = vec![|input: u32, _: &CancelToken| input + 1];
    let worker = Worker::spawn("plain", LIMITS, handlers).unwrap();
    assert_eq!(worker.call(1, 0).await.unwrap().output, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn sheds_when_full_and_says_when_to_retry() {
    let gated = gated();
    let first = call(&gated, 1);
    assert_eq!(gated.started.recv(), Ok(1));
    let waiting = [call(&gated, 2), call(&gated, 3)];
    until_queued(&gated, 2).await;
    let refused = gated.worker.call(4, 1).await.unwrap_err();
    assert!(matches!(refused, WorkerError::Overloaded { retry_after } if retry_after >= RETRY_AFTER.0));
    for _ in 0..3 {
        gated.permit.send(()).unwrap();
    }
    assert_eq!(first.await.unwrap(), Ok(2));
    for (task, expected) in waiting.into_iter().zip([4, 6]) {
        assert_eq!(task.await.unwrap(), Ok(expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_left_costs_no_compute() {
    let gated = gated();
    let (first, second) = (call(&gated, 1), call(&gated, 2));
    let running = gated.started.recv().unwrap();
    until_queued(&gated, 1).await;
    let third = {
        let third = call(&gated, 3);
        until_queued(&gated, 2).await;
        third
    };
    let (runs, waits) = if running == 1 { (first, second) } else { (second, first) };
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    // The one that runs is cancelled by its caller's leaving, without a permit.
    runs.abort();
    assert!(runs.await.unwrap_err().is_cancelled());
    assert_eq!(gated.started.recv(), Ok(3));
    gated.permit.send(()).unwrap();
    assert_eq!(third.await.unwrap(), Ok(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_one_callers_error() {
    let handler = |input: u32, _: &CancelToken| {
        assert!(input != 0, "zero");
        input
    };
    let worker = Worker::spawn("panics", LIMITS, vec![handler]).unwrap();
    assert_eq!(worker.call(0, 0).await.unwrap_err(), WorkerError::Panicked);
    assert_eq!(worker.call(1, 0).await.unwrap().output, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_cancels_joins_and_refuses() {
    let gated = gated();
    let running = call(&gated, 1);
    assert_eq!(gated.started.recv(), Ok(1));
    let waiting = call(&gated, 2);
    until_queued(&gated, 1).await;
    gated.worker.stop();
    assert_eq!(waiting.await.unwrap(), Err(WorkerError::Stopping));
    assert_eq!(running.await.unwrap(), Ok(2));
    assert_eq!(gated.worker.call(3, 1).await.unwrap_err(), WorkerError::Stopping);
    assert!(gated.started.try_recv().is_err(), "the waiting call must not have run");
}
