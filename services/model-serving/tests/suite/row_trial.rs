//! Rows of tensor models share a run only where that was shown to change nothing, and rows of unequal length where padding does.

use ailayer_platform::error::ErrorReason;
use ailayer_proto::inference::{ModelInferRequest, ModelMetadataRequest, ModelStatisticsRequest};
use futures::future::join_all;
use tonic::Code;

use crate::support::{Repository, Running, floats, infer, input, longs, refused};

const BATCHING: &str = "[batching]\nmax_rows = 8\nmax_delay = \"200ms\"\n";
const PADDED: &str = "[batching]\nmax_rows = 8\nmax_delay = \"200ms\"\n\
    [[batching.padded_inputs]]\nname = \"ids\"\nvalue = 5\n\
    [[batching.padded_inputs]]\nname = \"mask\"\nfill = \"mask\"\n\
    [[batching.padded_inputs]]\nname = \"positions\"\nfill = \"position\"\n";

async fn service(graph: &str, toml: &str) -> (Running, Repository) {
    let repository = Repository::new();
    let folder = repository.add(graph, graph, "1");
    std::fs::write(folder.join("model.toml"), toml).unwrap();
    let mut service = Running::start(repository.config()).await;
    service.until_ready().await;
    (service, repository)
}

/// Why the model does not batch; none if it does.
async fn refusal(service: &mut Running, model: &str) -> Option<String> {
    let request = ModelMetadataRequest { name: model.to_owned(), version: String::new() };
    let metadata = service.inference.model_metadata(request).await.unwrap().into_inner();
    metadata.properties.get("batching_refused").cloned()
}

async fn runs(service: &mut Running, model: &str) -> u64 {
    let request = ModelStatisticsRequest { name: model.to_owned(), version: "1".to_owned() };
    let statistics = service.inference.model_statistics(request).await.unwrap().into_inner().model_stats;
    statistics[0].execution_count
}

fn one(model: &str, row: [f32; 2]) -> ModelInferRequest {
    infer(model, vec![input("x", "FP32", &[1, 2], floats(&row))])
}

/// A text of some words; the positions count from 0.
fn tags(model: &str, ids: &[i64], positions: usize) -> ModelInferRequest {
    let shape = [1, i64::try_from(ids.len()).unwrap()];
    let counted: Vec<i64> = (0..i64::try_from(positions).unwrap()).collect();
    let inputs = vec![
        input("ids", "INT64", &shape, longs(ids)),
        input("mask", "INT64", &shape, longs(&vec![1; ids.len()])),
        input("positions", "INT64", &[1, i64::try_from(positions).unwrap()], longs(&counted)),
    ];
    infer(model, inputs)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_mixes_rows_is_not_batched_and_says_why() {
    let (mut service, _repository) = service("mixes", BATCHING).await;
    let why = refusal(&mut service, "mixes").await.unwrap();
    assert!(why.contains("'y'") && why.contains("alone"), "{why}");
    // Alone, every row less its own mean is zero.
    let calls = (0..8_u8).map(|number| {
        let mut client = service.inference.clone();
        async move {
            let answer =
                client.model_infer(one("mixes", [f32::from(number), 1.0])).await.unwrap().into_inner();
            assert_eq!(answer.outputs[0].contents.as_ref().unwrap().fp32_contents, [0.0, 0.0]);
        }
    });
    join_all(calls).await;
    assert_eq!(runs(&mut service, "mixes").await, 8);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_keeps_rows_apart_is_batched() {
    let (mut service, _repository) = service("add", BATCHING).await;
    assert_eq!(refusal(&mut service, "add").await, None);
    service.stop().await;
}

/// Without padded inputs only rows of one length share a run; with them all do, and nobody sees the padding.
#[tokio::test(flavor = "multi_thread")]
async fn rows_of_unequal_length_share_a_run_where_they_are_padded() {
    let lengths = [30_usize, 34, 31, 36, 33, 37, 32, 35];
    for (toml, together) in [(PADDED, true), (BATCHING, false)] {
        let (mut service, _repository) = service("tagger", toml).await;
        assert_eq!(refusal(&mut service, "tagger").await, None);
        let before = runs(&mut service, "tagger").await;
        let calls = lengths.map(|length| {
            let mut client = service.inference.clone();
            async move {
                let ids: Vec<i64> = (1..=i64::try_from(length).unwrap()).collect();
                let answer = client.model_infer(tags("tagger", &ids, length)).await.unwrap().into_inner();
                let values =
                    |output: usize| answer.outputs[output].contents.as_ref().unwrap().int64_contents.clone();
                let expected: Vec<i64> = (0..).zip(&ids).map(|(position, id)| position + id).collect();
                assert_eq!(answer.outputs[0].shape, [1, i64::try_from(length).unwrap()]);
                assert_eq!((values(0), values(1)), (expected, vec![ids.iter().sum::<i64>()]));
            }
        });
        join_all(calls).await;
        let ran = runs(&mut service, "tagger").await - before;
        assert!(if together { ran <= 4 } else { ran == 8 }, "{ran} runs, {toml}");
        // A call whose own inputs disagree in length runs by itself, and fails by itself.
        assert!(service.inference.model_infer(tags("tagger", &[1, 2, 3], 2)).await.is_err());
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn padding_that_changes_an_answer_is_refused_and_equal_lengths_still_share() {
    let (mut service, _repository) = service("tagger_leaky", PADDED).await;
    let why = refusal(&mut service, "tagger_leaky").await.unwrap();
    assert!(why.starts_with("rows of unequal length") && why.contains("'total'"), "{why}");
    let calls = [1_usize, 3, 3, 3, 3, 3].map(|length| {
        let mut client = service.inference.clone();
        async move {
            let request = tags("tagger_leaky", &vec![2; length], length);
            let answer = client.model_infer(request).await.unwrap().into_inner();
            let total = answer.outputs[1].contents.as_ref().unwrap().int64_contents.clone();
            assert_eq!(total, [2 * i64::try_from(length).unwrap()]);
        }
    });
    join_all(calls).await;
    assert!(runs(&mut service, "tagger_leaky").await < 6);
    service.stop().await;
}

/// The limit of an answer is of one call, not of the batch it happened to share.
#[tokio::test(flavor = "multi_thread")]
async fn large_answers_share_a_run_and_one_that_is_too_large_fails_alone() {
    let repository = Repository::new();
    let folder = repository.add("slow", "slow", "1");
    std::fs::write(folder.join("model.toml"), "[batching]\nmax_rows = 4096\nmax_delay = \"50ms\"\n").unwrap();
    let mut config = repository.config();
    // 1000 rows are 8 kB in and 4 kB out.
    config.max_inference_message_bytes = 9_000;
    let mut service = Running::start(config).await;
    service.until_ready().await;
    let before = runs(&mut service, "slow").await;
    let calls = [1000_usize, 1000, 3000, 1000, 1000].map(|rows| {
        let mut client = service.inference.clone();
        async move {
            let shape = [i64::try_from(rows).unwrap(), 1];
            let request = input("turns", "INT64", &shape, longs(&vec![1; rows]));
            match client.model_infer(infer("slow", vec![request])).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    assert_eq!(answer.outputs[0].contents.as_ref().unwrap().fp32_contents, vec![1.0; rows]);
                    assert!(rows < 2_250, "{rows} rows are larger than an answer may be");
                }
                Err(status) => {
                    assert!(rows > 2_250, "{status:?}");
                    refused::<()>(Err(status), Code::ResourceExhausted, ErrorReason::MessageTooLarge);
                }
            }
        }
    });
    join_all(calls).await;
    assert!(runs(&mut service, "slow").await - before < 5, "they ran alone, or again alone");
    service.stop().await;
}
