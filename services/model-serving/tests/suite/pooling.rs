//! Graphs that give a vector a token: how the vectors of texts are made of them, and what a caller may ask of a vector.

use std::time::Duration;

use ailayer_platform::error::{ErrorReason, violated_field};
use ailayer_proto::ailayer::serving::v1::{EmbedRequest, EmbedResponse};
use tonic::{Code, Status};

use crate::support::{Repository, Running, TINY_MANIFEST, refused};

/// A manifest for `embed_tokens` with more keys.
fn manifest(keys: &str) -> String {
    TINY_MANIFEST.replace("output = \"embedding\"", &format!("output = \"tokens\"\n{keys}"))
}

/// Token `n` is `[2n, 2n + 1]`.
fn vector(id: u8) -> [f64; 2] {
    [f64::from(id) * 2.0, f64::from(id) * 2.0 + 1.0]
}

fn mean(ids: &[u8]) -> [f64; 2] {
    let [first, second] = [0, 1].map(|at| ids.iter().map(|id| vector(*id)[at]).sum::<f64>());
    let count = ids.iter().map(|_| 1.0).sum::<f64>();
    [first / count, second / count]
}

fn assert_near(values: &[f32], expected: &[f64]) {
    assert_eq!(values.len(), expected.len(), "{values:?}, {expected:?}");
    let near =
        values.iter().zip(expected).all(|(value, expected)| (f64::from(*value) - expected).abs() < 1e-6);
    assert!(near, "{values:?}, expected {expected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_pooled_as_the_model_says_whichever_side_is_padded() {
    let repository = Repository::new();
    for pooling in ["mean", "cls", "last"] {
        for side in ["right", "left"] {
            let folder = repository.add("embed_tokens", &format!("{pooling}-{side}"), "1");
            let keys = format!("pooling = \"{pooling}\"\npadding_side = \"{side}\"");
            std::fs::write(folder.join("model.toml"), manifest(&keys)).unwrap();
        }
    }
    let mut service = Running::start(repository.config()).await;
    // The graph's vectors of padding are not finite: a model that counted them would not even load.
    service.until_ready().await;
    let texts = ["one two three four", "five", "six seven", "two two one"];
    let ids: [&[u8]; 4] = [&[1, 2, 3, 4], &[5], &[6, 7], &[2, 2, 1]];
    for side in ["right", "left"] {
        let mut embed =
            async |pooling: &str| service.embed(&format!("{pooling}-{side}"), &texts).await.unwrap();
        for (embedding, ids) in embed("mean").await.embeddings.iter().zip(ids) {
            assert_near(&embedding.values, &mean(ids));
        }
        for (embedding, ids) in embed("cls").await.embeddings.iter().zip(ids) {
            assert_near(&embedding.values, &vector(ids[0]));
        }
        for (embedding, ids) in embed("last").await.embeddings.iter().zip(ids) {
            assert_near(&embedding.values, &vector(ids[ids.len() - 1]));
        }
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pooling_that_does_not_fit_the_graph_is_found_at_load() {
    let repository = Repository::new();
    let cases = [
        (
            "a-twice",
            "embed",
            TINY_MANIFEST.replace("[inputs]", "pooling = \"mean\"\n[inputs]"),
            "key 'pooling': 'embedding' has 2 dimensions, not 3: the graph pools by itself",
        ),
        (
            "b-never",
            "embed_tokens",
            manifest(""),
            "key 'output': 'tokens' has 3 dimensions, not 2; a graph that gives a vector a token needs the key 'pooling'",
        ),
        ("c-unknown", "embed_tokens", manifest("pooling = \"max\""), "key 'pooling': unknown variant"),
        (
            "d-narrow",
            "embed_tokens",
            manifest("pooling = \"cls\"").replace("dimensions = 2", "dimensions = 3"),
            "key 'dimensions': 'tokens' has 2 numbers, not 3",
        ),
        // The service's limit on outputs holds the vectors of 131,072 tokens.
        (
            "e-long",
            "embed_tokens",
            manifest("pooling = \"cls\"").replace("= 6", "= 32768"),
            "key 'max_input_tokens'",
        ),
    ];
    for (name, graph, manifest, _) in &cases {
        std::fs::write(repository.add(graph, name, "1").join("model.toml"), manifest).unwrap();
    }
    let mut config = repository.config();
    config.max_inference_message_bytes = 200_000;
    let service = Running::start(config).await;
    let mut page = String::new();
    for _ in 0..200 {
        page = service.page("/readyz").await;
        if page.contains("model/e-long/1: model.toml") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (name, _, _, reason) in cases {
        let line = page.lines().find(|line| line.starts_with(&format!("model/{name}/1: ")));
        assert!(line.is_some_and(|line| line.contains(reason)), "{name}: {line:?} in {page}");
    }
    service.stop().await;
}

async fn embed(service: &Running, change: impl FnOnce(&mut EmbedRequest)) -> Result<EmbedResponse, Status> {
    let mut request =
        EmbedRequest { model_name: "plain".to_owned(), texts: vec!["one".to_owned()], ..Default::default() };
    change(&mut request);
    service.serving.clone().embed(request).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_chooses_length_and_size_of_vectors() {
    let repository = Repository::new();
    for (name, keys) in [("plain", "pooling = \"mean\""), ("normal", "pooling = \"mean\"\nnormalize = true")]
    {
        let folder = repository.add("embed_tokens", name, "1");
        std::fs::write(folder.join("model.toml"), manifest(keys)).unwrap();
    }
    let mut service = Running::start(repository.config()).await;
    service.until_ready().await;
    let length = 13.0_f64.sqrt();
    for (model, normalize, dimensions, expected) in [
        ("plain", None, None, &[2.0, 3.0][..]),
        ("plain", Some(false), Some(2), &[2.0, 3.0]),
        ("plain", Some(true), None, &[2.0 / length, 3.0 / length]),
        ("plain", None, Some(1), &[2.0]),
        ("plain", Some(true), Some(1), &[1.0]),
        ("normal", None, None, &[2.0 / length, 3.0 / length]),
        ("normal", Some(false), None, &[2.0, 3.0]),
        ("normal", None, Some(1), &[1.0]),
    ] {
        let answer = embed(&service, |request| {
            model.clone_into(&mut request.model_name);
            (request.normalize, request.dimensions) = (normalize, dimensions);
        });
        assert_near(&answer.await.unwrap().embeddings[0].values, expected);
    }
    for bad in [0, 3, u32::MAX] {
        let status = embed(&service, |request| request.dimensions = Some(bad)).await.unwrap_err();
        assert_eq!(violated_field(&status).as_deref(), Some("dimensions"));
        refused::<()>(Err(status), Code::InvalidArgument, ErrorReason::InvalidField);
    }
    service.stop().await;
}
