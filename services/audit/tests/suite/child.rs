//! The service as a process of its own, for tests that kill it: this very test binary, told what to be.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use ailayer_audit::Config;
use ailayer_devnet::{Process, ProcessSpec};
use ailayer_platform::config::load;
use ailayer_platform::tasks::Shutdown;
use ailayer_proto::ailayer::audit::v1 as pb;

use crate::harness::{Home, current_exe, init, wait_for};

const VARIABLE: &str = "AUDIT_TEST_CHILD";

/// Does nothing as a test; as a child it serves until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_the_log() {
    let Some(path) = std::env::var_os(VARIABLE) else { return };
    init();
    let config: Config = load("audit", Some(Path::new(&path))).unwrap();
    ailayer_audit::run(config, Shutdown::on_signals().unwrap()).await.unwrap();
}

/// Starts a child in a home; with a crash point it kills itself there.
pub fn start(home: &Home, crash_point: Option<&str>) -> Process {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let log = home.folder.path().join(format!("child-{number}.log"));
    let mut spec = ProcessSpec::new("audit", current_exe(), log)
        .args(["child::serves_the_log", "--exact", "--nocapture"])
        .env(VARIABLE, home.write_config())
        .env("RUST_LOG", "info");
    if let Some(point) = crash_point {
        spec = spec.env("AILAYER_CRASH_POINT", point);
    }
    let process = Process::new(spec);
    process.start().unwrap();
    process
}

pub async fn wait_until_up(home: &Home, process: &Process) {
    wait_for("the child answers", async || {
        process.check_running().unwrap();
        home.client().get_log(pb::GetLogRequest {}).await.ok()
    })
    .await;
}
