//! Loading with files of the call instead of the folder's.

use ailayer_platform::error::ErrorReason;
use ailayer_proto::inference::ModelConfigRequest;
use ailayer_proto::inference::model_repository_parameter::ParameterChoice;
use tonic::Code;

use super::explicit;
use crate::support::{Repository, Running, refused};

fn config(json: &str) -> (&'static str, ParameterChoice) {
    ("config", ParameterChoice::StringParam(json.to_owned()))
}

fn file<'a>(path: &'a str, bytes: &'static [u8]) -> (&'a str, ParameterChoice) {
    (path, ParameterChoice::BytesParam(bytes.into()))
}

const EXCHANGED: &[u8] = include_bytes!("../../data/add_exchanged.onnx");

async fn max_batch_size(service: &mut Running, model: &str) -> i32 {
    let request = ModelConfigRequest { name: model.to_owned(), version: String::new() };
    service.inference.model_config(request).await.unwrap().into_inner().config.unwrap().max_batch_size
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_takes_the_place_of_the_folders_until_the_next_load() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    std::fs::write(
        repository.root().join("m/config.pbtxt"),
        "max_batch_size: 2 dynamic_batching {} input [ { name: \"a\" data_type: TYPE_FP32 dims: 2 }, { name: \"b\" data_type: TYPE_FP32 dims: 2 } ]",
    )
    .unwrap();
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    assert_eq!(max_batch_size(&mut service, "m").await, 2);
    let json = r#"{"max_batch_size":16,"dynamic_batching":{}}"#;
    service.load_with("m", vec![config(json)]).await.unwrap();
    assert_eq!(max_batch_size(&mut service, "m").await, 16);
    assert_eq!(service.three_and_one("m").await.unwrap().0, 4.0);

    let message = refused(
        service.load_with("m", vec![config("{\"max_batch_sise\":1}")]).await,
        Code::FailedPrecondition,
        ErrorReason::ModelNotLoadable,
    );
    assert!(message.contains("config") && message.contains("max_batch_sise"), "{message}");
    assert_eq!(max_batch_size(&mut service, "m").await, 16);
    service.load("m").await.unwrap();
    assert_eq!(max_batch_size(&mut service, "m").await, 2);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_make_a_model_of_which_there_is_no_folder() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    // The folder's version 1 does not count while files are given.
    service.load_with("m", vec![config("{}"), file("file:7/model.onnx", EXCHANGED)]).await.unwrap();
    assert_eq!(service.three_and_one("m").await.unwrap(), (2.0, "7".to_owned()));
    service.until_states(&["m/7 READY"]).await;
    let toml: &[u8] = b"model_file = \"graph.onnx\"";
    let files = vec![config("{}"), file("file:3/graph.onnx", EXCHANGED), file("file:3/model.toml", toml)];
    service.load_with("made", files).await.unwrap();
    assert_eq!(service.three_and_one("made").await.unwrap(), (2.0, "3".to_owned()));
    service.load("m").await.unwrap();
    assert_eq!(service.three_and_one("m").await.unwrap(), (4.0, "1".to_owned()));

    service.unload("made").await.unwrap();
    service.until_states(&["m/1 READY", "made/3 UNAVAILABLE"]).await;
    refused(service.load("made").await, Code::NotFound, ErrorReason::ModelNotFound);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_stay_inside_the_models_folder() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    let invalid = (Code::InvalidArgument, ErrorReason::InvalidField);
    for path in
        ["file:../m/1/model.onnx", "file:/tmp/model.onnx", "file:1/../../x", "file:", "file:.config.json"]
    {
        refused(
            service.load_with("m", vec![config("{}"), file(path, EXCHANGED)]).await,
            invalid.0,
            invalid.1,
        );
    }
    refused(service.load_with("m", vec![file("file:1/model.onnx", EXCHANGED)]).await, invalid.0, invalid.1);
    let none = service.load_with("m", vec![config("{}"), file("file:model.onnx", EXCHANGED)]).await;
    refused(none, Code::FailedPrecondition, ErrorReason::ModelNotLoadable);
    assert_eq!(service.three_and_one("m").await.unwrap(), (4.0, "1".to_owned()));
    service.stop().await;
}
