//! A broken model is reported and does not stop the others.

use std::time::Duration;

use ailayer_platform::error::ErrorReason;
use ailayer_proto::ailayer::serving::v1::ListModelsRequest;
use ailayer_proto::inference::ServerReadyRequest;
use tonic::Code;

use crate::support::{Repository, Running, TINY_MANIFEST, infer, input, longs, refused};

/// Loading goes by name: once the last of them is ready, the fate of all before it is decided.
async fn until_model_ready(service: &mut Running, name: &str) {
    for _ in 0..200 {
        if service.model_ready(name, "").await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{name} did not become ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_models_are_reported_and_the_others_serve() {
    let repository = Repository::new();
    repository.add("corrupt", "a-corrupt", "1");
    repository.add("sequence", "b-sequence", "1");
    repository.add("external", "c-external", "1");
    std::fs::remove_file(repository.add("add", "d-missing", "1").join("model.onnx")).unwrap();
    for (name, from, to) in [
        ("e-key", "dimensions = 2", "dimensoins = 2"),
        ("f-dimensions", "dimensions = 2", "dimensions = 3"),
        ("g-output", "\"embedding\"\n[inputs]", "\"nothing\"\n[inputs]"),
        ("h-input", "mask = \"mask\"", "mask = \"msk\""),
        ("i-tokenizer", "tokenizer.json", "nothing.json"),
    ] {
        let manifest = TINY_MANIFEST.replace(from, to);
        assert_ne!(manifest, TINY_MANIFEST);
        std::fs::write(repository.add("embed", name, "1").join("model.toml"), manifest).unwrap();
    }
    std::fs::write(repository.add("embed", "j-tokenizer", "1").join("tokenizer.json"), "{}").unwrap();
    repository.add("gather", "z-good", "1");
    let mut service = Running::start(repository.config()).await;
    until_model_ready(&mut service, "z-good").await;
    let models = service.serving.list_models(ListModelsRequest {}).await.unwrap().into_inner().models;
    assert_eq!(models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>(), ["z-good"]);
    let page = service.page("/readyz").await;
    for (name, reason) in [
        ("a-corrupt", "not an ONNX file"),
        ("b-sequence", "tensor 'y' is Sequence"),
        ("c-external", "tensor 'weight' in another file"),
        ("d-missing", "model.onnx: No such file"),
        ("e-key", "model.toml: key 'dimensoins'"),
        ("f-dimensions", "key 'dimensions': 'embedding' has 2 numbers, not 3"),
        ("g-output", "key 'output': the graph has no tensor 'nothing'"),
        ("h-input", "key 'inputs.mask': the graph has no tensor 'msk'"),
        ("i-tokenizer", "nothing.json: No such file"),
        ("j-tokenizer", "cannot use the tokenizer tokenizer.json"),
    ] {
        let line = page.lines().find(|line| line.starts_with(&format!("model/{name}/1: ")));
        assert!(line.is_some_and(|line| line.contains(reason)), "{name}: {line:?}");
    }
    assert!(!page.contains("z-good"), "{page}");
    assert!(!service.model_ready("a-corrupt", "").await);
    assert!(!service.model_ready("nothing", "").await);
    // It is there: whoever was promised an answer may come back.
    let (unready, reason) = (Code::Unavailable, ErrorReason::ModelNotReady);
    refused(service.embed("a-corrupt", &["one"]).await, unready, reason);
    refused(service.inference.model_infer(infer("e-key", vec![])).await, unready, reason);
    refused(service.embed("nothing", &["one"]).await, Code::NotFound, ErrorReason::ModelNotFound);
    assert!(!service.inference.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    let request = infer("z-good", vec![input("ids", "INT64", &[1], longs(&[0]))]);
    service.inference.model_infer(request).await.unwrap();
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_version_that_is_ready_is_the_default() {
    let repository = Repository::new();
    repository.add("add", "m", "2");
    repository.add("gather", "m", "10");
    repository.add("corrupt", "m", "11");
    repository.add("gather", "z", "1");
    std::fs::write(repository.root().join("m/model.toml"), "versions = \"all\"").unwrap();
    let mut service = Running::start(repository.config()).await;
    until_model_ready(&mut service, "z").await;
    let mut request = infer("m", vec![input("ids", "INT64", &[1], longs(&[0]))]);
    let answer = service.inference.model_infer(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.model_version, "10");
    request.model_version = "2".to_owned();
    assert!(service.inference.model_infer(request).await.is_err(), "version 2 has other inputs");
    assert!(service.model_ready("m", "2").await && !service.model_ready("m", "11").await);
    let models = service.serving.list_models(ListModelsRequest {}).await.unwrap().into_inner().models;
    let listed: Vec<_> = models.iter().map(|model| format!("{}/{}", model.name, model.version)).collect();
    assert_eq!(listed, ["m/2", "m/10", "z/1"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository_is_not_ready() {
    let repository = Repository::new();
    let mut service = Running::start(repository.config()).await;
    assert!(!service.inference.server_ready(ServerReadyRequest {}).await.unwrap().into_inner().ready);
    service.stop().await;
}
