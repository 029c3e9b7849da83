//! Nothing outlives its parent, however the parent ends. The parent is this test binary, started once more.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use ailayer_devnet::{Backbone, DataDir, Postgres, Process, ProcessSpec, Toolbox};

const ROLE: &str = "DEVNET_TEST_PARENT";

/// Not a test of its own: the body of the parents below, which start things, tell what, and end in some way.
#[tokio::test]
async fn parent() {
    let Ok(role) = env::var(ROLE) else { return };
    let data_dir = DataDir::temporary().unwrap();
    println!("folder={}", data_dir.path().display());
    let spec = ProcessSpec::new("sleeper", "/bin/sh", data_dir.log_file("sleeper"));
    let sleeper = Process::new(spec.args(["-c", "trap '' TERM INT; sleep 600 & echo $! >&2; wait; wait"]));
    sleeper.start().unwrap();
    println!("pid={}", sleeper.pid().unwrap());
    if role == "panic" {
        panic!("on purpose");
    }
    if role == "shared" {
        let postgres = Postgres::shared().await.unwrap();
        println!("pid={}", postgres.process().pid().unwrap());
        println!("shared={}", postgres.data_dir().path().display());
        return;
    }
    let backbone = Backbone::start(data_dir.clone(), &Toolbox::discover(), |_| {}).await.unwrap();
    for process in [backbone.postgres.process(), backbone.bitcoind.process(), backbone.electrumx.process()] {
        println!("pid={}", process.pid().unwrap());
    }
    println!("ready=yes");
    tokio::time::sleep(Duration::from_secs(600)).await;
}

struct Parent {
    child: Child,
    folder: PathBuf,
    shared_folder: Option<PathBuf>,
    pids: Vec<u32>,
}

/// Starts a parent and reads what it tells, until it is ready or has ended.
fn start_parent(role: &str) -> Parent {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "tear_down::parent", "--nocapture"])
        .env(ROLE, role)
        .env_remove("AILAYER_KEEP_LOGS")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut folder, mut shared_folder, mut pids) = (None, None, Vec::new());
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The harness prints "test … " in front of the first line.
        let told = |key: &str| line.split_once(key).map(|(_, value)| value.to_owned());
        if let Some(pid) = told("pid=") {
            pids.push(pid.parse().unwrap());
        } else if let Some(path) = told("folder=") {
            folder = Some(PathBuf::from(path));
        } else if let Some(path) = told("shared=") {
            shared_folder = Some(PathBuf::from(path));
        } else if told("ready=").is_some() {
            break;
        }
    }
    Parent { child, folder: folder.unwrap(), shared_folder, pids }
}

#[tokio::test]
async fn kill_9_of_the_parent_ends_everything_and_keeps_only_logs() {
    let mut parent = start_parent("backbone");
    assert_eq!(parent.pids.len(), 4);
    assert!(parent.pids.iter().all(|pid| is_alive(*pid)));
    let backends = children_of(parent.pids[1]);
    assert!(!backends.is_empty(), "PostgreSQL has no helper processes");
    parent.child.kill().unwrap();
    parent.child.wait().unwrap();
    wait_until("all processes are gone", || parent.pids.iter().chain(&backends).all(|pid| !is_alive(*pid)))
        .await;
    wait_until("only the logs are left", || entries(&parent.folder) == ["logs"]).await;
    fs::remove_dir_all(&parent.folder).unwrap();
}

#[tokio::test]
async fn ctrl_c_ends_everything() {
    let mut parent = start_parent("backbone");
    let pid = rustix::process::Pid::from_child(&parent.child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    parent.child.wait().unwrap();
    wait_until("all processes are gone", || parent.pids.iter().all(|pid| !is_alive(*pid))).await;
    wait_until("only the logs are left", || entries(&parent.folder) == ["logs"]).await;
    fs::remove_dir_all(&parent.folder).unwrap();
}

#[tokio::test]
async fn a_panic_ends_everything_and_keeps_the_folder() {
    let mut parent = start_parent("panic");
    assert!(!parent.child.wait().unwrap().success());
    wait_until("all processes are gone", || parent.pids.iter().all(|pid| !is_alive(*pid))).await;
    assert!(parent.folder.join("logs/sleeper.log").exists());
    fs::remove_dir_all(&parent.folder).unwrap();
}

#[tokio::test]
async fn an_ordinary_end_leaves_nothing_of_the_shared_cluster() {
    let mut parent = start_parent("shared");
    assert!(parent.child.wait().unwrap().success());
    assert_eq!(parent.pids.len(), 2);
    wait_until("all processes are gone", || parent.pids.iter().all(|pid| !is_alive(*pid))).await;
    let folders = [parent.folder, parent.shared_folder.unwrap()];
    wait_until("the folders are gone", || folders.iter().all(|folder| !folder.exists())).await;
}

fn entries(folder: &PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn children_of(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether the process exists and is not just waiting to be reaped.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(") ").next().unwrap_or_default().starts_with('Z')
}

/// Fails the test when it does not come true within half a minute.
pub async fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
