//! NVIDIA's `tritonclient`, as it comes from PyPI, drives a session; what it did shows on the metrics page.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ailayer_proto::FILE_DESCRIPTOR_SET;
use tokio::process::Command;

use crate::support::{Running, setup};

#[tokio::test(flavor = "multi_thread")]
async fn tritonclient_drives_a_session() {
    let (service, _repository) = Running::with_tiny(&["add", "identities"]).await;
    let folder = tempfile::tempdir().unwrap();
    let descriptors = folder.path().join("descriptors.binpb");
    std::fs::write(&descriptors, FILE_DESCRIPTOR_SET).unwrap();
    drive("session.py", &[&service.grpc.to_string(), descriptors.to_str().unwrap()]).await;

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

/// Runs a script with the Python that has `tritonclient`; its last words are shown if it fails.
async fn drive(script: &str, arguments: &[&str]) {
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script);
    let mut command = Command::new(setup("INTEROP_PYTHON"));
    command.arg(script).args(arguments).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output());
    let output = output.await.expect("the script hangs").unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}", said(&output.stdout), said(&output.stderr));
}
