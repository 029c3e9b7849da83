//! What goes wrong while models run costs the calls it concerns, and nobody else.

use std::time::{Duration, Instant};

use ailayer_model_serving::Config;
use ailayer_platform::error::ErrorReason;
use ailayer_proto::ailayer::serving::v1::EmbedRequest;
use ailayer_proto::inference::{ModelInferRequest, ModelInferResponse, ModelStatisticsRequest};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Code, Response, Status};

use crate::support::{Repository, Running, TINY_MANIFEST, floats, infer, input, longs, refused};

/// Rows of different calls share a run for sure: there is time to gather them.
const BATCHED: &str = "kind = \"tensor\"\n[batching]\nmax_rows = 8\nmax_delay = \"200ms\"\n";
/// Turns of the graph `slow` that take some seconds, and that do not end in anybody's lifetime.
const SECONDS: i64 = 1_000_000;
const FOR_EVER: i64 = i64::MAX;

/// The graphs named, batched; and `embed`.
async fn with_batched(graphs: &[&str], change: impl FnOnce(&mut Config)) -> (Running, Repository) {
    let repository = Repository::new();
    for graph in graphs {
        std::fs::write(repository.add(graph, graph, "1").join("model.toml"), BATCHED).unwrap();
    }
    repository.add("embed", "embed", "1");
    let mut config = repository.config();
    change(&mut config);
    let mut service = Running::start(config).await;
    service.until_ready().await;
    (service, repository)
}

/// One number to a model whose input is `[rows, 1]`.
fn number(model: &str, field: &str, number: i64) -> ModelInferRequest {
    infer(model, vec![input(field, "INT64", &[1, 1], longs(&[number]))])
}

type Answer = Result<Response<ModelInferResponse>, Status>;

/// Sends a call that is owned by its handle; aborted, the client leaves.
#[expect(clippy::disallowed_methods, reason = "a test owns its calls by their handles")]
fn call(service: &Running, request: ModelInferRequest) -> tokio::task::JoinHandle<Answer> {
    let mut client = service.inference.clone();
    tokio::spawn(async move { client.model_infer(request).await })
}

#[track_caller]
fn assert_answer(answer: Answer, expected: &[f32]) {
    let answer = answer.unwrap().into_inner();
    assert_eq!(answer.outputs[0].contents.as_ref().unwrap().fp32_contents, expected);
}

#[track_caller]
fn given_back(answer: Answer, number: i16) {
    assert_answer(answer, &[f32::from(number)]);
}

async fn assert_serves(service: &mut Running, model: &str) {
    let answer = service.embed(model, &["one"]).await.unwrap();
    assert_eq!(answer.embeddings[0].values, [2.0, 3.0]);
}

/// Gives what was sent the time to begin, and sees that no more than the rows before have ended.
async fn until_running(service: &mut Running, model: &str, ended: u64) {
    tokio::time::sleep(Duration::from_millis(500)).await;
    let request = ModelStatisticsRequest { name: model.to_owned(), version: "1".to_owned() };
    let statistics = service.inference.model_statistics(request).await.unwrap().into_inner().model_stats;
    assert_eq!(statistics[0].inference_count, ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_the_graph_refuses_fails_alone() {
    let (mut service, _repository) = with_batched(&["gather"], |_| ()).await;
    let ids = |id: i64| infer("gather", vec![input("ids", "INT64", &[1], longs(&[id]))]);
    for _ in 0..3 {
        let calls = [1, 2, 99, 3, 4].map(|id| call(&service, ids(id)));
        assert_serves(&mut service, "embed").await;
        let [one, two, outside, three, four] = calls;
        refused(outside.await.unwrap(), Code::InvalidArgument, ErrorReason::InvalidField);
        for (answer, id) in [(one, 1_i16), (two, 2), (three, 3), (four, 4)] {
            let first = f32::from(id) * 2.0;
            assert_answer(answer.await.unwrap(), &[first, first + 1.0]);
        }
    }
    service.stop().await;
}

/// More than the address space has, and more than can be counted.
#[tokio::test(flavor = "multi_thread")]
async fn memory_that_cannot_be_had_fails_one_call_and_not_the_process() {
    let (mut service, _repository) = with_batched(&["hungry"], |_| ()).await;
    for enormous in [1 << 48, 1 << 60, 1 << 62, i64::MAX] {
        let calls = [1, 2, enormous, 3].map(|floats| call(&service, number("hungry", "floats", floats)));
        assert_serves(&mut service, "embed").await;
        let [one, two, greedy, three] = calls;
        refused(greedy.await.unwrap(), Code::Internal, ErrorReason::ModelFailed);
        for (answer, floats) in [(one, 1), (two, 2), (three, 3)] {
            given_back(answer.await.unwrap(), floats);
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_a_running_batch_leaves_and_the_other_is_answered() {
    let (mut service, _repository) = with_batched(&["slow"], |_| ()).await;
    let leaves = call(&service, number("slow", "turns", SECONDS));
    let stays = call(&service, number("slow", "turns", 7));
    until_running(&mut service, "slow", 0).await;
    leaves.abort();
    assert_serves(&mut service, "embed").await;
    given_back(stays.await.unwrap(), 7);

    // When everybody has left, the run ends at once, and the next call does not wait for it.
    let leave = [1, 2].map(|_| call(&service, number("slow", "turns", FOR_EVER)));
    until_running(&mut service, "slow", 2).await;
    leave.iter().for_each(tokio::task::JoinHandle::abort);
    let began = Instant::now();
    given_back(call(&service, number("slow", "turns", 9)).await.unwrap(), 9);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_run_at_shutdown_are_answered_within_the_grace_period() {
    let (mut service, _repository) =
        with_batched(&["slow"], |config| config.platform.grace_period = Duration::from_secs(60)).await;
    // One batch runs, and another one waits.
    let calls = [SECONDS, 5].map(|turns| call(&service, number("slow", "turns", turns)));
    until_running(&mut service, "slow", 0).await;
    let waiting = call(&service, number("slow", "turns", 6));
    tokio::time::sleep(Duration::from_millis(50)).await;
    service.shutdown.trigger();
    let [long, short] = calls;
    assert_answer(long.await.unwrap(), &[1_000_000.0]);
    given_back(short.await.unwrap(), 5);
    given_back(waiting.await.unwrap(), 6);
    service.service.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_outlast_the_grace_period_are_cancelled() {
    let (mut service, _repository) =
        with_batched(&["slow"], |config| config.platform.grace_period = Duration::from_millis(300)).await;
    let calls = [FOR_EVER, 5].map(|turns| call(&service, number("slow", "turns", turns)));
    until_running(&mut service, "slow", 0).await;
    let began = Instant::now();
    service.shutdown.trigger();
    for answer in calls {
        let status = answer.await.unwrap().unwrap_err();
        assert!(matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown), "{status:?}");
    }
    // Whether it says that calls were cut short or not, every thread has been joined.
    drop(service.service.await.unwrap());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// A load that fails says which file is to blame; the model beside it serves.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_cut_or_no_text_are_named() {
    let repository = Repository::new();
    let root = repository.config().repository;
    let half = |path: &std::path::Path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    for name in ["a-graph", "b-tokenizer", "c-manifest", "d-long", "e-config", "f-config"] {
        repository.add("embed", name, "1");
    }
    half(&root.join("a-graph/1/model.onnx"));
    half(&root.join("b-tokenizer/1/tokenizer.json"));
    std::fs::write(root.join("c-manifest/1/model.toml"), b"kind = \"\xff\"").unwrap();
    let long = format!("{TINY_MANIFEST}\n# {}", "x".repeat(1 << 20));
    std::fs::write(root.join("d-long/1/model.toml"), long).unwrap();
    std::fs::write(root.join("e-config/config.pbtxt"), "max_batch_size: 8\ninput [ { name: \"ids\"").unwrap();
    std::fs::write(root.join("f-config/config.pbtxt"), "input {".repeat(1 << 16)).unwrap();
    repository.add("embed", "z-good", "1");
    let mut service = Running::start(repository.config()).await;
    while !service.model_ready("z-good", "").await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let page = service.page("/readyz").await;
    for (name, reason) in [
        ("a-graph", "model"),
        ("b-tokenizer", "cannot use the tokenizer tokenizer.json"),
        ("c-manifest", "model.toml"),
        ("d-long", "longer than 1048576 bytes"),
        ("e-config", "config.pbtxt: line 2"),
        ("f-config", "config.pbtxt: line 1: nested too deeply"),
    ] {
        let line = page.lines().find(|line| line.starts_with(&format!("model/{name}/1: ")));
        assert!(line.is_some_and(|line| line.contains(reason)), "{name}: {line:?} in {page}");
    }
    assert_serves(&mut service, "z-good").await;
    service.stop().await;
}

/// A few kilobytes that would become many megabytes, where packing is taken and where it is not.
#[tokio::test(flavor = "multi_thread")]
async fn bombs_in_streams_and_in_calls_that_take_no_packing() {
    let (mut service, _repository) =
        with_batched(&["add"], |config| config.max_inference_message_bytes = 1 << 20).await;
    let rows = 1 << 20;
    let tensor = |name| input(name, "FP32", &[rows, 2], floats(&[]));
    let mut bomb = infer("add", vec![tensor("a"), tensor("b")]);
    bomb.raw_input_contents = vec![Bytes::from(vec![0; 8 << 20]); 2];
    let mut client = service.inference.clone().send_compressed(Gzip);
    let mut answers = client.model_stream_infer(stream::iter([bomb])).await.unwrap().into_inner();
    refused(answers.next().await.unwrap(), Code::ResourceExhausted, ErrorReason::MessageTooLarge);
    assert!(answers.next().await.is_none());

    let texts = vec!["x".repeat(60_000); 1000];
    let bomb = EmbedRequest { model_name: "embed".to_owned(), texts, ..Default::default() };
    let status = service.serving.clone().send_compressed(Gzip).embed(bomb).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    assert_serves(&mut service, "embed").await;
    service.stop().await;
}
