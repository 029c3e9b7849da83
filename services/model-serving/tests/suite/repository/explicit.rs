//! `RepositoryModelLoad`, `RepositoryModelUnload`, `RepositoryIndex`.

use ailayer_platform::error::ErrorReason;
use tonic::Code;

use super::explicit;
use crate::support::{Repository, Running, refused};

#[tokio::test(flavor = "multi_thread")]
async fn models_come_and_go_by_calls() {
    let repository = Repository::new();
    repository.add("add", "first", "1");
    repository.add("add", "second", "1");
    let mut service = Running::start(explicit(&repository, &["first"])).await;
    service.until_ready().await;
    service.until_states(&["first/1 READY", "second/1 "]).await;
    let not_ready = (Code::Unavailable, ErrorReason::ModelNotReady);
    refused(service.three_and_one("second").await, not_ready.0, not_ready.1);

    service.load("second").await.unwrap();
    assert_eq!(service.three_and_one("second").await.unwrap(), (4.0, "1".to_owned()));
    assert!(service.model_ready("second", "").await);

    service.unload("first").await.unwrap();
    refused(service.three_and_one("first").await, not_ready.0, not_ready.1);
    service.until_states(&["first/1 UNAVAILABLE", "second/1 READY"]).await;
    service.until_reason("first", "1", "unloaded").await;
    service.unload("first").await.unwrap();
    // Whoever unloads on purpose has not made the service unable.
    service.until_ready().await;
    service.load("first").await.unwrap();
    assert_eq!(service.states().await, ["first/1 READY", "second/1 READY"]);

    let absent = (Code::NotFound, ErrorReason::ModelNotFound);
    for name in ["absent", "", "../models", ".."] {
        refused(service.load(name).await, absent.0, absent.1);
        refused(service.unload(name).await, absent.0, absent.1);
    }
    repository.add("add", "third", "1");
    service.until_states(&["first/1 READY", "second/1 READY", "third/1 "]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_applies_the_policy_and_serves_the_files_of_the_folder() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    let digest = service.digest("m").await;

    repository.add("add_exchanged", "m", "2");
    assert_eq!(service.three_and_one("m").await.unwrap(), (4.0, "1".to_owned()));
    service.load("m").await.unwrap();
    assert_eq!(service.three_and_one("m").await.unwrap(), (2.0, "2".to_owned()));
    assert_ne!(service.digest("m").await, digest);
    service.until_states(&["m/2 READY"]).await;

    std::fs::write(repository.root().join("m/model.toml"), "versions = \"all\"").unwrap();
    service.load("m").await.unwrap();
    service.until_states(&["m/1 READY", "m/2 READY"]).await;
    std::fs::write(repository.root().join("m/model.toml"), "versions = [1]").unwrap();
    service.load("m").await.unwrap();
    assert_eq!(service.three_and_one("m").await.unwrap(), (4.0, "1".to_owned()));
    service.until_states(&["m/1 READY"]).await;

    // The same version with other files.
    repository.add("add_exchanged", "m", "1");
    assert_eq!(service.digest("m").await, digest, "the copy serves");
    service.load("m").await.unwrap();
    assert_eq!(service.three_and_one("m").await.unwrap(), (2.0, "1".to_owned()));

    std::fs::write(repository.root().join("m/model.toml"), "versions = [7]").unwrap();
    let message = refused(service.load("m").await, Code::FailedPrecondition, ErrorReason::ModelNotLoadable);
    assert!(message.contains("none of its versions"), "{message}");
    assert_eq!(service.three_and_one("m").await.unwrap(), (2.0, "1".to_owned()));
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_load_leaves_the_old_one_serving_and_says_why() {
    let repository = Repository::new();
    let folder = repository.add("add", "m", "1");
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    let digest = service.digest("m").await;
    let not_loadable = (Code::FailedPrecondition, ErrorReason::ModelNotLoadable);

    std::fs::write(folder.join("model.onnx"), "no model").unwrap();
    let message = refused(service.load("m").await, not_loadable.0, not_loadable.1);
    assert!(message.contains("m/1") && message.contains("not an ONNX file"), "{message}");
    service.until_reason("m", "1", "not an ONNX file").await;

    repository.add("add", "m", "1");
    std::fs::write(repository.root().join("m/config.pbtxt"), "max_batch_size: {").unwrap();
    let message = refused(service.load("m").await, not_loadable.0, not_loadable.1);
    assert!(message.contains("config.pbtxt"), "{message}");
    std::fs::remove_file(repository.root().join("m/config.pbtxt")).unwrap();

    // All or nothing: a good version does not go live beside a broken one.
    std::fs::write(repository.root().join("m/model.toml"), "versions = \"all\"").unwrap();
    repository.add("add_exchanged", "m", "2");
    repository.add("corrupt", "m", "3");
    refused(service.load("m").await, not_loadable.0, not_loadable.1);
    assert_eq!(service.three_and_one("m").await.unwrap(), (4.0, "1".to_owned()));
    assert_eq!(service.digest("m").await, digest);
    assert_eq!(service.states().await[0], "m/1 READY");
    service.until_ready().await;

    std::fs::remove_dir_all(repository.root().join("m/3")).unwrap();
    service.load("m").await.unwrap();
    assert_eq!(service.states().await, ["m/1 READY", "m/2 READY"]);
    assert_eq!(service.index().await[0].reason, "");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_explicit_control_nobody_loads_by_a_call() {
    let (mut service, repository) = Running::with_tiny(&["add"]).await;
    for answer in [service.load("add").await, service.unload("add").await] {
        let message = refused(answer, Code::Unimplemented, ErrorReason::NotOffered);
        assert!(message.contains("model_control"), "{message}");
    }
    // Nor does it look at the folder again.
    repository.add("add", "another", "1");
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(service.states().await, ["add/1 READY"]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_version_that_goes_first_comes_back_if_the_new_one_does_not_load() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    std::fs::write(repository.root().join("m/model.toml"), "swap = \"unload_first\"").unwrap();
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    let digest = service.digest("m").await;

    // What is loaded again is the copy: the folder has another file by now.
    std::fs::remove_dir_all(repository.root().join("m/1")).unwrap();
    repository.add("corrupt", "m", "2");
    refused(service.load("m").await, Code::FailedPrecondition, ErrorReason::ModelNotLoadable);
    assert_eq!(service.three_and_one("m").await.unwrap(), (4.0, "1".to_owned()));
    assert_eq!(service.digest("m").await, digest);
    service.until_states(&["m/1 READY", "m/2 UNAVAILABLE"]).await;
    service.until_ready().await;

    repository.add("add_exchanged", "m", "2");
    service.load("m").await.unwrap();
    assert_eq!(service.three_and_one("m").await.unwrap(), (2.0, "2".to_owned()));
    service.until_states(&["m/2 READY"]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_end_with_their_models_and_with_the_service() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut service = Running::start(explicit(&repository, &["*"])).await;
    service.until_ready().await;
    let copies = || {
        let process = std::fs::read_dir(repository.cache()).unwrap().next().unwrap().unwrap().path();
        let names = std::fs::read_dir(process).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name != "lock").count()
    };
    assert_eq!(copies(), 1);
    for graph in ["add_exchanged", "add", "add", "corrupt", "add_exchanged"] {
        repository.add(graph, "m", "1");
        assert_eq!(service.load("m").await.is_ok(), graph != "corrupt");
        assert_eq!(copies(), 1, "{graph}");
    }
    service.unload("m").await.unwrap();
    assert_eq!(copies(), 0);
    service.stop().await;
    assert_eq!(std::fs::read_dir(repository.cache()).unwrap().count(), 0);
}
