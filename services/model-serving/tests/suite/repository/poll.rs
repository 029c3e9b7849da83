//! The folder decides.

use std::time::Duration;

use ailayer_platform::error::ErrorReason;
use tonic::Code;

use super::{POLL_INTERVAL, polled};
use crate::support::{Repository, Running, refused};

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_in_the_folder_is_served() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut service = Running::start(polled(&repository)).await;
    service.until_ready().await;
    let served = service.digest("m").await;

    // A new version.
    repository.add("add_exchanged", "m", "2");
    service.until_states(&["m/2 READY"]).await;
    assert_eq!(service.three_and_one("m").await.unwrap(), (2.0, "2".to_owned()));
    // The version is taken away again.
    std::fs::remove_dir_all(repository.root().join("m/2")).unwrap();
    service.until_states(&["m/1 READY"]).await;
    assert_eq!(service.digest("m").await, served);
    // Its files change.
    repository.add("add_exchanged", "m", "1");
    while service.digest("m").await == served {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A new model, and none at all.
    repository.add("add", "new", "1");
    service.until_states(&["m/1 READY", "new/1 READY"]).await;
    std::fs::remove_dir_all(repository.root().join("m")).unwrap();
    service.until_states(&["new/1 READY"]).await;
    refused(service.three_and_one("m").await, Code::NotFound, ErrorReason::ModelNotFound);
    service.until_ready().await;
    refused(service.load("new").await, Code::Unimplemented, ErrorReason::NotOffered);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_new_version_keeps_the_old_one() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut service = Running::start(polled(&repository)).await;
    service.until_ready().await;
    repository.add("corrupt", "m", "2");
    service.until_states(&["m/1 READY", "m/2 UNAVAILABLE"]).await;
    service.until_reason("m", "2", "not an ONNX file").await;
    assert_eq!(service.three_and_one("m").await.unwrap(), (4.0, "1".to_owned()));
    service.until_ready().await;
    // Configuration, too.
    std::fs::write(repository.root().join("m/model.toml"), "instances = \"many\"").unwrap();
    service.until_reason("m", "2", "instances").await;
    std::fs::remove_file(repository.root().join("m/model.toml")).unwrap();
    // Mended in place.
    repository.add("add_exchanged", "m", "2");
    service.until_states(&["m/2 READY"]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_was_broken_at_start_is_mended_without_a_restart() {
    let repository = Repository::new();
    repository.add("corrupt", "m", "1");
    let mut service = Running::start(polled(&repository)).await;
    service.until_states(&["m/1 UNAVAILABLE"]).await;
    assert!(service.page("/readyz").await.contains("model/m/1: "));
    repository.add("add", "m", "1");
    service.until_states(&["m/1 READY"]).await;
    service.until_ready().await;
    // An empty folder becomes one with a model.
    std::fs::remove_dir_all(repository.root().join("m")).unwrap();
    service.until_states(&[]).await;
    while !service.page("/readyz").await.contains("holds no model") {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    repository.add("add", "m", "1");
    service.until_ready().await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_files_are_not_loaded_again() {
    let repository = Repository::new();
    let folder = repository.add("add", "equal", "1");
    let mut service = Running::start(polled(&repository)).await;
    service.until_ready().await;
    service.three_and_one("equal").await.unwrap();
    std::fs::write(folder.join("README"), "of no interest").unwrap();
    repository.add("add", "equal", "1");
    tokio::time::sleep(POLL_INTERVAL * 10).await;
    // Statistics begin anew with every load; the page is shared by all tests, the name is not.
    let page = service.page("/metrics").await;
    assert!(page.contains(r#"nv_inference_request_success{model="equal",version="1"} 1"#), "{page}");
    service.stop().await;
}
