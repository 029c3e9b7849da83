//! Starting and stopping.

use std::time::Duration;

use ailayer_model_serving::{RunError, Service};

use crate::support::{Repository, Running, setup};

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_are_answered() {
    let (service, _repository) = Running::with_tiny(&["embed"]).await;
    let mut client = service.serving.clone();
    let request = ailayer_proto::ailayer::serving::v1::EmbedRequest {
        model_name: "embed".to_owned(),
        texts: vec!["one two".to_owned(); 32],
        ..Default::default()
    };
    let (shutdown, asked) = (service.shutdown.clone(), tokio::time::Instant::now());
    let call = client.embed(request);
    let stop = async {
        shutdown.trigger();
        service.service.await.unwrap().unwrap();
    };
    let (answer, ()) = tokio::join!(call, stop);
    // The call may have come too late to be taken; if it was taken it is answered in full.
    if let Ok(answer) = answer {
        assert_eq!(answer.into_inner().embeddings.len(), 32);
    }
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn stops_while_it_loads_and_starts_again() {
    let repository = Repository::new();
    for version in 1..=20 {
        repository.add("embed", "embed", &version.to_string());
    }
    for _ in 0..3 {
        Running::start(repository.config()).await.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_library_is_one_clear_line() {
    // The right library first: one process has one engine, and the other tests want that one.
    let (service, repository) = Running::with_tiny(&["add"]).await;
    let mut config = repository.config();
    config.onnxruntime_library = Some(setup("ORT_DYLIB_PATH").with_file_name("LICENSE"));
    if !config.onnxruntime_library.as_ref().unwrap().exists() {
        config.onnxruntime_library = Some(std::env::current_exe().unwrap());
    }
    let error = Service::bind(config).await.err().unwrap();
    assert!(matches!(error, RunError::Engine(_)), "{error:?}");
    assert!(!error.to_string().contains('\n'));
    service.stop().await;
}
