//! NVIDIA's `tritonclient`, as it comes from PyPI, drives a session; what it did shows on the metrics page.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ailayer_model_serving::ModelControl;
use ailayer_proto::FILE_DESCRIPTOR_SET;
use tokio::process::Command;

use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::{Repository, Running, setup};

#[tokio::test(flavor = "multi_thread")]
async fn tritonclient_drives_a_session() {
    let repository = Repository::new();
    for (graph, name) in [("add", "add"), ("identities", "identities"), ("add", "later")] {
        repository.add(graph, name, "1");
    }
    let mut config = repository.config();
    config.model_control = ModelControl::Explicit;
    config.load_at_start = vec!["add".to_owned(), "identities".to_owned()];
    let mut service = Running::start(config).await;
    service.until_ready().await;
    let folder = tempfile::tempdir().unwrap();
    let descriptors = folder.path().join("descriptors.binpb");
    std::fs::write(&descriptors, FILE_DESCRIPTOR_SET).unwrap();
    let graph = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/add_exchanged.onnx");
    drive("session.py", &[&service.grpc.to_string(), descriptors.to_str().unwrap(), graph]).await;

    let page = service.page("/metrics").await;
    let value = |name: &str, labels: &str| -> u64 {
        let series = format!("{name}{{{labels}}} ");
        let line = page.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series} in {page}")).parse().unwrap()
    };
    let add = r#"model="add",version="1""#;
    assert!(value("nv_inference_request_success", add) > 100);
    assert!(value("nv_inference_count", add) > value("nv_inference_request_success", add));
    assert!(value("nv_inference_exec_count", add) > 0);
    assert_eq!(value("nv_inference_pending_request_count", add), 0);
    assert!(value("nv_inference_request_duration_us", add) > 0);
    for phase in ["queue", "compute_input", "compute_infer", "compute_output"] {
        value(&format!("nv_inference_{phase}_duration_us"), add);
    }
    for reason in ["REJECTED", "CANCELED", "BACKEND", "OTHER"] {
        let labels = format!(r#"model="add",reason="{reason}",version="1""#);
        let failures = value("nv_inference_request_failure", &labels);
        assert!(reason != "OTHER" || failures >= 2, "{failures}");
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_health_knows_each_model_by_its_name() {
    let repository = Repository::new();
    repository.add("add", "add", "1");
    repository.add("corrupt", "corrupt", "1");
    let mut service = Running::start(repository.config()).await;
    while !service.model_ready("add", "").await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let channel = Channel::from_shared(format!("http://{}", service.grpc)).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel);
    let mut status = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        health.check(request).await.map(|answer| answer.into_inner().status())
    };
    // Told by a task of its own, a moment later.
    while status("add").await.unwrap() != ServingStatus::Serving {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(status("corrupt").await.unwrap(), ServingStatus::NotServing);
    assert_eq!(status("").await.unwrap(), ServingStatus::NotServing);
    assert_eq!(status("absent").await.unwrap_err().code(), Code::NotFound);
    service.stop().await;
}

/// Runs a script with the Python that has `tritonclient`; its last words are shown if it fails.
async fn drive(script: &str, arguments: &[&str]) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script);
    let mut command = Command::new(setup("INTEROP_PYTHON"));
    command.arg(path).args(arguments).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output());
    let output = output.await.unwrap_or_else(|_| panic!("{script} hangs")).unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", said(&output.stdout), said(&output.stderr));
}
