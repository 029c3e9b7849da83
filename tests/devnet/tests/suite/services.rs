//! Handles of services, on a stand-in that honours the same contract as the `ailayer` binary.

use std::{fs, os::unix::fs::PermissionsExt, os::unix::process::ExitStatusExt, time::Duration};

use ailayer_devnet::{AilayerBinary, DataDir, DevnetError, ServiceSpec};

/// Behaves like `ailayer serve NAME --config FILE` as far as a handle can see: takes its addresses from the
/// environment, writes them to the address file, answers `/readyz`, dies at a crash point.
const STAND_IN: &str = r#"#!/usr/bin/env python3
import http.server, json, os, signal, sys
name, config = sys.argv[2], sys.argv[4]
print("serving", name, "with", open(config).read().strip(), flush=True)
if "broken" in open(config).read():
    sys.exit("error: configuration: broken")
prefix = "AILAYER_" + name.upper().replace("-", "_") + "__PLATFORM__"
grpc, admin = os.environ[prefix + "SERVER__LISTEN"], os.environ[prefix + "ADMIN_LISTEN"]
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if os.environ.get("AILAYER_CRASH_POINT") == "at.readyz":
            os.kill(os.getpid(), signal.SIGKILL)
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", int(admin.rsplit(":", 1)[1])), Handler)
with open(os.environ["AILAYER_ADDRESS_FILE"], "w") as file:
    json.dump({"grpc": grpc, "admin": admin}, file)
server.serve_forever()
"#;

fn stand_in(data_dir: &DataDir) -> AilayerBinary {
    let path = data_dir.path().join("ailayer");
    fs::write(&path, STAND_IN).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    AilayerBinary::at(path)
}

#[tokio::test]
async fn a_service_keeps_its_addresses_over_kill_and_restart() {
    let data_dir = DataDir::temporary().unwrap();
    let binary = stand_in(&data_dir);
    let spec =
        ServiceSpec::new("model-serving").unwrap().config_toml(&data_dir, "[model-serving]\n").unwrap();
    let addresses = spec.addresses();
    let service = spec.start(&binary, &data_dir).await.unwrap();
    assert_eq!(service.addresses(), addresses);
    assert_eq!(service.grpc_url(), format!("http://{}", addresses.grpc));

    service.kill9().await.unwrap();
    service.restart().await.unwrap();
    service.wait_until_ready().await.unwrap();
    assert_eq!(service.addresses(), addresses);
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_crash_point_holds_for_one_start() {
    let data_dir = DataDir::temporary().unwrap();
    let binary = stand_in(&data_dir);
    let spec = ServiceSpec::new("gateway").unwrap().config_toml(&data_dir, "[gateway]\n").unwrap();
    let error = spec.crash_point("at.readyz").start(&binary, &data_dir).await.unwrap_err();
    assert!(matches!(error, DevnetError::Exited { status, .. } if status.signal() == Some(9)));

    let spec = ServiceSpec::new("gateway").unwrap().config_toml(&data_dir, "[gateway]\n").unwrap();
    let service = spec.crash_point("at.readyz").launch(&binary, &data_dir).unwrap();
    service.wait_until_ready().await.unwrap_err();
    let status = service.wait_for_exit(Duration::from_secs(5)).await.unwrap();
    assert_eq!(status.signal(), Some(9));
    service.restart().await.unwrap();
    service.restart_with_crash_point("at.readyz").await.unwrap_err();
}

#[tokio::test]
async fn a_refused_configuration_shows_the_reason() {
    let data_dir = DataDir::temporary().unwrap();
    let binary = stand_in(&data_dir);
    let spec = ServiceSpec::new("gateway").unwrap().config_toml(&data_dir, "broken").unwrap();
    let error = spec.start(&binary, &data_dir).await.unwrap_err();
    assert!(error.to_string().contains("error: configuration: broken"), "{error}");
}
