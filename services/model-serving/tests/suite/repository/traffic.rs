//! Swaps and unloads while calls come steadily.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_proto::ailayer::serving::v1::EmbedRequest;
use ailayer_proto::inference::ModelInferRequest;
use tokio::task::JoinHandle;
use tonic::Status;

use super::{explicit, polled, three_and_one};
use crate::support::{Repository, Running, infer, input, longs};

/// Callers that never pause.
struct Traffic {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    answered: [u64; 2],
    failed: Vec<Status>,
}

impl Traffic {
    /// Callers of `m`, whose answers are 4 or 2.
    #[expect(clippy::disallowed_methods, reason = "a test owns its callers by their handles")]
    fn of_tensors(service: &Running, callers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let callers = (0..callers).map(|_| {
            let (mut client, stop) = (service.inference.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut counts = Counts::default();
                while !stop.load(Ordering::Relaxed) {
                    match client.model_infer(three_and_one("m")).await {
                        Ok(answer) => {
                            let sum =
                                answer.into_inner().outputs[0].contents.clone().unwrap().fp32_contents[0];
                            assert!(sum == 4.0 || sum == 2.0, "{sum}");
                            counts.answered[usize::from(sum == 2.0)] += 1;
                        }
                        Err(status) => counts.failed.push(status),
                    }
                }
                counts
            })
        });
        let callers = callers.collect();
        Self { stop, callers }
    }

    /// Callers of the text model `t`: a call tokenises, waits, then queues.
    #[expect(clippy::disallowed_methods, reason = "a test owns its callers by their handles")]
    fn of_texts(service: &Running, callers: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let callers = (0..callers).map(|_| {
            let (mut client, stop) = (service.serving.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut counts = Counts::default();
                while !stop.load(Ordering::Relaxed) {
                    let request = EmbedRequest {
                        model_name: "t".to_owned(),
                        texts: vec!["one two".to_owned(), "three".to_owned()],
                        ..Default::default()
                    };
                    match client.embed(request).await {
                        Ok(answer) => counts.answered[answer.into_inner().embeddings.len() - 2] += 1,
                        Err(status) => counts.failed.push(status),
                    }
                }
                counts
            })
        });
        let callers = callers.collect();
        Self { stop, callers }
    }

    async fn end(self) -> Counts {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Counts::default();
        for caller in self.callers {
            let Counts { answered, failed } = caller.await.unwrap();
            all.answered = [all.answered[0] + answered[0], all.answered[1] + answered[1]];
            all.failed.extend(failed);
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_swapped_by_calls_with_zero_failed_requests() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    repository.add("embed", "t", "1");
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    let (tensors, texts) = (Traffic::of_tensors(&service, 4), Traffic::of_texts(&service, 4));
    for swap in 0..40 {
        // In place, and as a new version.
        let (graph, version) = (["add_exchanged", "add"][swap % 2], (1 + swap / 2).to_string());
        repository.add(graph, "m", &version);
        service.load("m").await.unwrap();
        let expected = [2.0, 4.0][swap % 2];
        assert_eq!(service.three_and_one("m").await.unwrap(), (expected, version));
        service.load("t").await.unwrap();
    }
    let (tensors, texts) = (tensors.end().await, texts.end().await);
    assert!(tensors.failed.is_empty() && texts.failed.is_empty(), "{:?} {:?}", tensors.failed, texts.failed);
    assert!(tensors.answered[0] > 40 && tensors.answered[1] > 40, "{:?}", tensors.answered);
    assert!(texts.answered[0] > 40, "{:?}", texts.answered);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_swapped_by_polling_with_zero_failed_requests() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut service = Running::start(polled(&repository)).await;
    service.until_ready().await;
    let traffic = Traffic::of_tensors(&service, 4);
    for swap in 0..8 {
        let graph = ["add_exchanged", "add"][swap % 2];
        let expected = [2.0, 4.0][swap % 2];
        repository.add(graph, "m", "1");
        let since = Instant::now();
        while service.three_and_one("m").await.unwrap().0 != expected {
            assert!(since.elapsed() < Duration::from_secs(20), "swap {swap} is not seen");
        }
    }
    let counts = traffic.end().await;
    assert!(counts.failed.is_empty(), "{:?}", counts.failed);
    assert!(counts.answered[0] > 20 && counts.answered[1] > 20, "{:?}", counts.answered);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_traffic_an_unload_refuses_calls_as_not_ready_and_breaks_none() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    let traffic = Traffic::of_tensors(&service, 4);
    for _ in 0..15 {
        service.unload("m").await.unwrap();
        service.load("m").await.unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let counts = traffic.end().await;
    let broken: Vec<_> =
        counts.failed.iter().filter(|status| reason_of(status) != Some(ErrorReason::ModelNotReady)).collect();
    assert!(broken.is_empty(), "{broken:?}");
    assert!(counts.answered[0] > 40, "{counts:?}");
    service.stop().await;
}

fn counting(to: i64) -> ModelInferRequest {
    infer("time", vec![input("count", "INT64", &[1], longs(&[to]))])
}

/// Counts to 400,000 in about a second.
const A_SECOND: i64 = 400_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_answered_by_the_version_it_came_to() {
    let repository = Repository::new();
    repository.add("time", "time", "1");
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    let mut client = service.inference.clone();
    let call = client.model_infer(counting(A_SECOND));
    let unload = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = Instant::now();
        service.unload("time").await.unwrap();
        assert!(asked.elapsed() < Duration::from_millis(500), "it does not wait for calls");
        let states = service.states().await;
        (service, states)
    };
    let (answer, (mut service, states)) = tokio::join!(call, unload);
    assert_eq!(states, ["time/1 UNLOADING"]);
    let answer = answer.unwrap().into_inner();
    assert_eq!(answer.outputs[0].contents.as_ref().unwrap().int64_contents, [A_SECOND]);
    service.until_states(&["time/1 UNAVAILABLE"]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_gives_running_calls_all_their_time() {
    let repository = Repository::new();
    repository.add("time", "time", "1");
    let mut config = explicit(&repository, &["*"]);
    config.platform.grace_period = Duration::from_millis(100);
    let mut service = Running::start(config).await;
    service.until_ready().await;
    let mut client = service.inference.clone();
    let call = async {
        let answer = client.model_infer(counting(A_SECOND * 4)).await;
        (answer, Instant::now())
    };
    let swap = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        service.load("time").await.unwrap();
        (service, Instant::now())
    };
    let ((answer, answered), (service, swapped)) = tokio::join!(call, swap);
    let answer = answer.unwrap().into_inner();
    assert_eq!(answer.outputs[0].contents.as_ref().unwrap().int64_contents, [A_SECOND * 4]);
    assert!(answered > swapped + Duration::from_millis(200), "the call was no longer than the swap");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_outlasts_the_grace_period_is_cancelled() {
    let repository = Repository::new();
    repository.add("time", "time", "1");
    let mut config = explicit(&repository, &["*"]);
    config.platform.grace_period = Duration::from_millis(300);
    let mut service = Running::start(config).await;
    service.until_ready().await;
    let mut client = service.inference.clone();
    let call = client.model_infer(counting(A_SECOND * 1000));
    let unload = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        service.unload("time").await.unwrap();
        service
    };
    let (answer, mut service) = tokio::join!(call, unload);
    let status = answer.unwrap_err();
    assert_eq!(reason_of(&status), Some(ErrorReason::ShuttingDown), "{status:?}");
    assert!(status.message().contains("unloaded"), "{status:?}");
    service.until_states(&["time/1 UNAVAILABLE"]).await;
    service.stop().await;
}
