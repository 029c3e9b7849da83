use std::sync::mpsc;
use std::time::Instant;

use tokio::task::JoinHandle;

use super::*;
use crate::domain::statistics::Statistics;
use crate::ports::SessionError;

const LIMITS: Limits = Limits {
    max_entries: 16,
    max_bytes: 1000,
    max_age: None,
    max_rows: 4,
    max_tokens: 100,
    max_delay: Duration::ZERO,
};

/// Poisoned numbers, and what they do to a batch.
const FAILS: u32 = 666;
const PANICS: u32 = 667;

/// Reports each batch, waits for permission or cancellation, answers twice each number.
struct Gated {
    started: mpsc::Sender<Vec<u32>>,
    permits: mpsc::Receiver<()>,
}

impl Runner for Gated {
    type Key = ();
    type Work = u32;
    type Output = u32;

    fn run(&mut self, batch: &[&u32], cancel: &CancelToken) -> Result<Ran<u32>, ServeError> {
        let numbers: Vec<u32> = batch.iter().map(|number| **number).collect();
        self.started.send(numbers.clone()).unwrap();
        while self.permits.recv_timeout(Duration::from_millis(2)).is_err() {
            if cancel.is_cancelled() {
                return Err(SessionError::Cancelled.into());
            }
        }
        assert!(!numbers.contains(&PANICS), "poisoned");
        if numbers.contains(&FAILS) {
            return Err(SessionError::Failed("poisoned".into()).into());
        }
        let outputs = numbers.iter().map(|number| Ok(number * 2)).collect();
        let zero = Duration::ZERO;
        Ok(Ran { outputs, padded_tokens: 0, compute_input: zero, compute_infer: zero, compute_output: zero })
    }
}

struct World {
    instances: Arc<Instances<Gated>>,
    metrics: Arc<ModelMetrics>,
    started: mpsc::Receiver<Vec<u32>>,
    permit: mpsc::Sender<()>,
}

type Answer = JoinHandle<Result<u32, ServeError>>;

impl World {
    fn new(limits: Limits) -> Self {
        let (report, started) = mpsc::channel();
        let (permit, permits) = mpsc::channel();
        let metrics = Arc::new(ModelMetrics::detached());
        let runner = Gated { started: report, permits };
        let instances =
            Instances::start(limits, ServiceTimes::default(), Arc::clone(&metrics), vec![runner]).unwrap();
        Self { instances: Arc::new(instances), metrics, started, permit }
    }

    #[expect(clippy::disallowed_methods, reason = "a test owns its calls by their handles")]
    fn call_with(&self, number: u32, context: CallContext, priority: u32) -> Answer {
        let request = Request { work: number, key: Some(()), rows: 1, width: 0, bytes: 1 };
        let tickets = self.instances.submit(vec![request], &context, priority);
        tokio::spawn(async move {
            let ticket = tickets?.into_iter().next().unwrap();
            Ok(ticket.answer().await?.output)
        })
    }

    fn call(&self, number: u32) -> Answer {
        self.call_with(number, CallContext::default(), 1)
    }

    /// Occupies the instance, so that what is called next waits.
    fn occupied(limits: Limits) -> (Self, Answer) {
        let world = Self::new(limits);
        let first = world.call(1);
        assert_eq!(world.started.recv(), Ok(vec![1]));
        (world, first)
    }

    fn permit(&self, runs: usize) {
        (0..runs).for_each(|_| self.permit.send(()).unwrap());
    }

    async fn until(&self, done: impl Fn(&Statistics) -> bool) {
        while !done(&self.metrics.statistics()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn failed(answer: Result<u32, ServeError>) -> bool {
    matches!(answer, Err(ServeError::Session(SessionError::Failed(_))))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_together_runs_together_and_each_gets_its_own() {
    let (world, first) = World::occupied(LIMITS);
    let calls: Vec<Answer> = (2..8).map(|number| world.call(number)).collect();
    world.permit(3);
    assert_eq!(world.started.recv(), Ok(vec![2, 3, 4, 5]));
    assert_eq!(world.started.recv(), Ok(vec![6, 7]));
    assert_eq!(first.await.unwrap().unwrap(), 2);
    for (number, call) in (2..8).zip(calls) {
        assert_eq!(call.await.unwrap().unwrap(), number * 2);
    }
    world.until(|statistics| statistics.success.count == 7).await;
    let statistics = world.metrics.statistics();
    assert_eq!((statistics.executions, statistics.queued, statistics.pending), (3, 7, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_entry_fails_alone() {
    for poison in [FAILS, PANICS] {
        let (world, first) = World::occupied(LIMITS);
        let calls = [world.call(2), world.call(poison), world.call(3)];
        world.permit(5);
        first.await.unwrap().unwrap();
        let [two, poisoned, three] = calls;
        assert_eq!((two.await.unwrap().unwrap(), three.await.unwrap().unwrap()), (4, 6));
        let error = poisoned.await.unwrap().unwrap_err();
        match poison {
            FAILS => assert!(failed(Err(error))),
            _ => assert!(matches!(error, ServeError::Worker(WorkerError::Panicked)), "{error:?}"),
        }
        let runs: Vec<Vec<u32>> = world.started.try_iter().collect();
        assert_eq!(runs, [vec![2, poison, 3], vec![2], vec![poison], vec![3]]);
        assert!(!world.instances.is_broken());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_only_panics_takes_no_more_work() {
    let world = World::new(LIMITS);
    world.permit(10);
    for _ in 0..3 {
        let error = world.call(PANICS).await.unwrap().unwrap_err();
        assert!(matches!(error, ServeError::Worker(WorkerError::Panicked)), "{error:?}");
    }
    assert!(world.instances.is_broken());
    let error = world.call(1).await.unwrap().unwrap_err();
    assert!(matches!(error, ServeError::Worker(WorkerError::Broken)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_early_only_when_everybody_has_left() {
    let (world, first) = World::occupied(LIMITS);
    let (stays, leaves, waits) = (world.call(2), world.call(3), world.call(4));
    world.permit(1);
    assert_eq!(world.started.recv(), Ok(vec![2, 3, 4]));
    leaves.abort();
    assert!(leaves.await.unwrap_err().is_cancelled());
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    world.permit(1);
    assert_eq!(stays.await.unwrap().unwrap(), 4);
    first.await.unwrap().unwrap();
    // Alone in its run and gone: cancelled without a permit, and the next one runs.
    let alone = world.call(5);
    assert_eq!(world.started.recv(), Ok(vec![5]));
    let next = world.call(6);
    alone.abort();
    assert_eq!(world.started.recv(), Ok(vec![6]));
    world.permit(1);
    assert_eq!(next.await.unwrap().unwrap(), 12);
    world.until(|statistics| statistics.failures == [0, 1, 0, 0]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_or_is_late_never_reaches_the_engine() {
    let (world, first) = World::occupied(LIMITS);
    let soon = Some(Instant::now() + Duration::from_millis(20));
    let late = world.call_with(2, CallContext { deadline: soon, ..Default::default() }, 1);
    let leaves = world.call(3);
    let stays = world.call(4);
    leaves.abort();
    let error = late.await.unwrap().unwrap_err();
    assert!(matches!(error, ServeError::Worker(WorkerError::Late)), "{error:?}");
    assert!(leaves.await.unwrap_err().is_cancelled());
    world.permit(2);
    assert_eq!(world.started.recv(), Ok(vec![4]), "neither 2 nor 3");
    assert_eq!(stays.await.unwrap().unwrap(), 8);
    first.await.unwrap().unwrap();
    let past = CallContext { deadline: Some(Instant::now()), ..Default::default() };
    assert!(matches!(world.call_with(5, past, 1).await.unwrap(), Err(ServeError::Worker(WorkerError::Late))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_level_goes_first_and_accounts_take_turns() {
    let (world, first) = World::occupied(Limits { max_rows: 1, ..LIMITS });
    let of = |account: &str| CallContext { account: account.into(), ..Default::default() };
    let mut calls: Vec<Answer> = (10..14).map(|number| world.call_with(number, of("greedy"), 2)).collect();
    calls.push(world.call_with(20, of("modest"), 2));
    calls.push(world.call_with(30, of("greedy"), 1));
    world.permit(7);
    first.await.unwrap().unwrap();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    let order: Vec<u32> = world.started.try_iter().flatten().collect();
    assert_eq!(order, [30, 10, 20, 11, 12, 13]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_the_greedy_and_says_when_to_retry() {
    let (world, first) = World::occupied(Limits { max_entries: 2, ..LIMITS });
    let waiting = [world.call(2), world.call(3)];
    let error = world.call(4).await.unwrap().unwrap_err();
    let ServeError::Worker(WorkerError::Overloaded { retry_after }) = error else { panic!("{error:?}") };
    assert!(retry_after >= Duration::from_millis(100));
    // Another account has a right to its share: the newest entry of the greedy one gives way.
    let other = world.call_with(5, CallContext { account: "other".into(), ..Default::default() }, 1);
    world.permit(2);
    assert_eq!(other.await.unwrap().unwrap(), 10);
    let [stays, pushed_out] = waiting;
    assert_eq!(stays.await.unwrap().unwrap(), 4);
    let error = pushed_out.await.unwrap().unwrap_err();
    assert!(matches!(error, ServeError::Worker(WorkerError::Overloaded { .. })), "{error:?}");
    first.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_cancels_joins_and_refuses() {
    let (world, running) = World::occupied(LIMITS);
    let waiting = world.call(2);
    world.instances.stop();
    world.instances.stop();
    for call in [running, waiting, world.call(3)] {
        let error = call.await.unwrap().unwrap_err();
        let expected = matches!(
            error,
            ServeError::Worker(WorkerError::Stopping) | ServeError::Session(SessionError::Cancelled)
        );
        assert!(expected, "{error:?}");
    }
    assert!(world.started.try_recv().is_err(), "the waiting call must not have run");
}
