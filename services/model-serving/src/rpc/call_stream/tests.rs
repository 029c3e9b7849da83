use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream;
use tokio::sync::Semaphore;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::*;

/// Counts what is taken from the client, and answers only with permission.
struct Gate {
    taken: Arc<AtomicUsize>,
    permits: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { taken: Arc::default(), permits: Arc::new(Semaphore::new(0)) }
    }

    fn answers(&self, requests: usize) -> Answers<usize> {
        let taken = Arc::clone(&self.taken);
        let requests = stream::iter((0..requests).map(Ok)).inspect(move |_| {
            taken.fetch_add(1, Ordering::SeqCst);
        });
        let permits = Arc::clone(&self.permits);
        answers(requests, Charges::default(), move |request| {
            let permits = Arc::clone(&permits);
            async move {
                permits.acquire().await.unwrap().forget();
                Ok(request)
            }
        })
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_slow_reader_bounds_what_is_taken() {
    let gate = Gate::new();
    let mut answers = gate.answers(1000);
    assert_eq!(gate.taken(), 0, "nothing is read before somebody waits for an answer");
    assert!(futures::poll!(answers.next()).is_pending());
    assert_eq!(gate.taken(), MAX_IN_FLIGHT);
    gate.permits.add_permits(1000);
    // All in work may be done: without a reader no further one is taken.
    tokio::task::yield_now().await;
    assert_eq!(gate.taken(), MAX_IN_FLIGHT);
    for _ in 0..10 {
        answers.next().await.unwrap().unwrap();
    }
    assert!((MAX_IN_FLIGHT..=MAX_IN_FLIGHT + 10).contains(&gate.taken()), "{}", gate.taken());
    let mut rest: Vec<usize> = answers.map(Result::unwrap).collect().await;
    rest.sort_unstable();
    assert_eq!(rest.len(), 990, "a client that has sent its last message gets what is outstanding");
}

#[tokio::test]
async fn a_reader_that_leaves_drops_what_is_in_work() {
    let gate = Gate::new();
    let mut answers = gate.answers(40);
    assert!(futures::poll!(answers.next()).is_pending());
    drop(answers);
    assert_eq!(Arc::strong_count(&gate.permits), 1, "no call is left");
}

/// A stream may be older than one request may take.
#[tokio::test]
async fn every_request_has_time_of_its_own() {
    let allowed = Duration::from_millis(50);
    let context =
        deadline::within(allowed, async { StreamContext::try_new(&MetadataMap::new()) }).await.unwrap();
    tokio::time::sleep(allowed * 2).await;
    let began = Instant::now();
    let ends = within_deadline(&context, async |context| Ok(context.deadline)).await.unwrap().unwrap();
    assert!(ends > began, "the deadline is that of the stream");
    let late = within_deadline::<()>(&context, async |_| future::pending().await).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn the_first_error_is_the_last_answer() {
    let requests = stream::iter([Ok(1), Ok(2), Err(Status::cancelled("gone")), Ok(3)]);
    let answers: Vec<_> =
        answers(requests, Charges::default(), |request| future::ready(Ok(request))).collect().await;
    let [Ok(1), Ok(2), Err(last)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(last.message(), "gone");
}
