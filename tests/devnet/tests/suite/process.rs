//! Starting, watching and ending a process.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use ailayer_devnet::{DataDir, DevnetError, Process, ProcessSpec};

use crate::tear_down::{is_alive, wait_until};

fn shell(data_dir: &DataDir, script: &str) -> Process {
    Process::new(ProcessSpec::new("script", "/bin/sh", data_dir.log_file("script")).args(["-c", script]))
}

#[tokio::test]
async fn an_early_end_shows_status_and_last_log_lines() {
    let data_dir = DataDir::temporary().unwrap();
    let process = shell(&data_dir, "echo no such luck >&2; exit 3");
    process.start().unwrap();
    let never = || async { Err("not yet".to_owned()) };
    let error = process.wait_until_ready(Duration::from_secs(10), never).await.unwrap_err();
    assert!(matches!(&error, DevnetError::Exited { status, .. } if status.code() == Some(3)), "{error}");
    assert!(error.to_string().contains("no such luck"), "{error}");
}

#[tokio::test]
async fn a_time_out_shows_what_the_check_said_and_the_log() {
    let data_dir = DataDir::temporary().unwrap();
    let process = shell(&data_dir, "echo still thinking; exec sleep 60");
    process.start().unwrap();
    wait_until("it has logged", || process.log_tail().contains("still thinking")).await;
    let never = || async { Err("it says wait".to_owned()) };
    let error = process.wait_until_ready(Duration::from_millis(200), never).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("it says wait") && text.contains("still thinking"), "{text}");
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_an_early_end() {
    let data_dir = DataDir::temporary().unwrap();
    let process = Process::new(ProcessSpec::new("ghost", "/nowhere/ghost", data_dir.log_file("ghost")));
    process.start().unwrap();
    let status = process.wait_for_exit(Duration::from_secs(5)).await.unwrap();
    assert_eq!(status.code(), Some(127));
}

#[tokio::test]
async fn stop_asks_first_and_kills_after_the_grace_period() {
    let data_dir = DataDir::temporary().unwrap();
    let polite = shell(&data_dir, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done");
    polite.start().unwrap();
    wait_until("it is up", || polite.log_tail().contains("up\n")).await;
    polite.stop().await.unwrap();
    assert!(polite.log_tail().contains("bye"));

    let mut spec = polite.spec().clone();
    spec.args = vec!["-c".into(), "trap '' TERM; echo deaf; while :; do sleep 0.1; done".into()];
    spec.grace_period = Duration::from_millis(300);
    let deaf = Process::new(spec);
    deaf.start().unwrap();
    wait_until("it is up", || deaf.log_tail().contains("deaf\n")).await;
    deaf.stop().await.unwrap();
    let status = deaf.wait_for_exit(Duration::from_secs(1)).await.unwrap();
    assert_eq!(status.signal(), Some(9));
}

#[tokio::test]
async fn a_kill_takes_its_children_along_and_it_can_be_started_again() {
    let data_dir = DataDir::temporary().unwrap();
    let process = shell(&data_dir, "sleep 300 & echo child=$!; wait");
    let child = || {
        let log = process.log_tail();
        log.lines().rev().find_map(|line| line.split_once("child=").and_then(|(_, pid)| pid.parse().ok()))
    };
    process.start().unwrap();
    wait_until("it has a child", || child().is_some()).await;
    let (first, pid) = (child().unwrap(), process.pid().unwrap());
    assert!(is_alive(first) && is_alive(pid));
    process.kill9().await.unwrap();
    wait_until("both are gone", || !is_alive(first) && !is_alive(pid)).await;

    process.start().unwrap();
    wait_until("it has a new child", || child().is_some_and(|new| new != first)).await;
    let second = child().unwrap();
    drop(process);
    wait_until("the new child is gone", || !is_alive(second)).await;
}

#[tokio::test]
async fn calls_on_what_does_not_run_say_so() {
    let data_dir = DataDir::temporary().unwrap();
    let process = shell(&data_dir, "exit 0");
    assert!(!process.is_running());
    assert!(matches!(process.check_running(), Err(DevnetError::NotRunning { .. })));
    process.stop().await.unwrap();
    process.kill9().await.unwrap();
}
