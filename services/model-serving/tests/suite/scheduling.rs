//! The scheduler, seen from outside.

use std::time::Duration;

use ailayer_platform::error::{ErrorReason, retry_after};
use ailayer_proto::inference::ModelStatisticsRequest;
use ailayer_proto::inference::infer_parameter::ParameterChoice;
use ailayer_proto::inference::{InferParameter, ModelInferRequest};
use futures::future::join_all;
use tonic::{Code, Request};

use crate::support::{Repository, Running, floats, infer, input, refused};

async fn batching_add() -> (Running, Repository) {
    let repository = Repository::new();
    let folder = repository.add("add", "add", "1");
    std::fs::write(folder.join("model.toml"), "kind = \"tensor\"\n[batching]\nmax_rows = 8\nmax_delay = \"20ms\"\n[queue]\npriority_levels = 2\ndefault_priority = 2\n").unwrap();
    let mut service = Running::start(repository.config()).await;
    service.until_ready().await;
    (service, repository)
}

fn sum(a: &[f32]) -> ModelInferRequest {
    let shape = [i64::try_from(a.len() / 2).unwrap(), 2];
    let ones = vec![1.0; a.len()];
    infer("add", vec![input("a", "FP32", &shape, floats(a)), input("b", "FP32", &shape, floats(&ones))])
}

async fn executions(service: &mut Running, model: &str) -> (u64, u64) {
    let request = ModelStatisticsRequest { name: model.to_owned(), version: "1".to_owned() };
    let statistics = service.inference.model_statistics(request).await.unwrap().into_inner().model_stats;
    (statistics[0].execution_count, statistics[0].inference_count)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_share_runs_and_each_gets_its_own_rows() {
    let (mut service, _repository) = batching_add().await;
    let calls = (0..40_u8).map(|number| {
        let mut client = service.inference.clone();
        async move {
            let number = f32::from(number);
            let rows = if number < 20.0 { vec![number, 0.5] } else { vec![number, 0.5, -number, 1.5] };
            let answer = client.model_infer(sum(&rows)).await.unwrap().into_inner();
            let expected: Vec<f32> = rows.iter().map(|value| value + 1.0).collect();
            assert_eq!(answer.outputs[0].contents.as_ref().unwrap().fp32_contents, expected);
            assert_eq!(answer.outputs[0].shape, [i64::try_from(rows.len() / 2).unwrap(), 2]);
        }
    });
    join_all(calls).await;
    let (executions, inferences) = executions(&mut service, "add").await;
    assert_eq!(inferences, 60);
    assert!(executions < 40, "{executions} runs for 40 calls");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_many_calls_share_runs() {
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    let calls = (0..32_usize).map(|number| {
        let mut service = service.serving.clone();
        async move {
            let text = ["one", "two", "three", "four"][number % 4];
            let request = ailayer_proto::ailayer::serving::v1::EmbedRequest {
                model_name: "embed".to_owned(),
                texts: vec![text.to_owned(); 4],
                ..Default::default()
            };
            let id = f32::from(u8::try_from(number % 4).unwrap()) + 1.0;
            for embedding in service.embed(request).await.unwrap().into_inner().embeddings {
                assert_eq!(embedding.values, [id * 2.0, id * 2.0 + 1.0]);
            }
        }
    });
    join_all(calls).await;
    let (executions, inferences) = executions(&mut service, "embed").await;
    assert_eq!(inferences, 128);
    assert!(executions <= 64, "{executions} runs for 128 texts");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_level_that_does_not_exist_is_refused() {
    let (service, _repository) = batching_add().await;
    let mut client = service.inference.clone();
    let level = |level: u64| {
        let mut request = sum(&[1.0, 2.0]);
        let parameter = InferParameter { parameter_choice: Some(ParameterChoice::Uint64Param(level)) };
        request.parameters.insert("priority".to_owned(), parameter);
        request
    };
    client.model_infer(level(2)).await.unwrap();
    refused(client.model_infer(level(3)).await, Code::InvalidArgument, ErrorReason::InvalidField);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_refused_with_a_time_to_retry() {
    let repository = Repository::new();
    repository.add("embed", "embed", "1");
    let mut config = repository.config();
    config.queue_capacity = 4;
    let mut service = Running::start(config).await;
    service.until_ready().await;
    let answer = service.embed("embed", &["one"; 32]).await;
    let status = answer.as_ref().unwrap_err();
    let retry = retry_after(status);
    assert!(retry.is_some_and(|delay| delay >= Duration::from_millis(100)), "{retry:?}");
    refused(answer, Code::ResourceExhausted, ErrorReason::Overloaded);
    assert_eq!(service.embed("embed", &["one"; 2]).await.unwrap().embeddings.len(), 2);
    service.stop().await;
}

/// A deadline that is over never costs a run.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_call_never_reaches_the_engine() {
    let (mut service, _repository) = batching_add().await;
    let mut request = sum(&[1.0, 2.0]);
    let parameter = InferParameter { parameter_choice: Some(ParameterChoice::Uint64Param(1)) };
    request.parameters.insert("timeout".to_owned(), parameter);
    let answer = service.inference.model_infer(Request::new(request)).await;
    refused(answer, Code::DeadlineExceeded, ErrorReason::DeadlineExceeded);
    assert_eq!(executions(&mut service, "add").await, (0, 0));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_under_load_answers_or_refuses_every_call() {
    let (service, _repository) = batching_add().await;
    let calls = (0..64_u8).map(|number| {
        let mut client = service.inference.clone();
        async move {
            let number = f32::from(number);
            match client.model_infer(sum(&[number, number])).await {
                Ok(answer) => {
                    let values = &answer.get_ref().outputs[0].contents.as_ref().unwrap().fp32_contents;
                    assert_eq!(values, &[number + 1.0, number + 1.0]);
                }
                Err(status) => assert!(
                    matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown),
                    "{status:?}"
                ),
            }
        }
    });
    let shutdown = service.shutdown.clone();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        shutdown.trigger();
    };
    tokio::join!(join_all(calls), stop);
    service.stop().await;
}
