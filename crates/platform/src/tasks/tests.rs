use std::io;

use super::*;

#[tokio::test]
async fn tasks_end_with_the_shutdown() {
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone(), Duration::from_secs(5));
    let token = tasks.shutdown_token();
    tasks.spawn("waits", async move { token.cancelled().await });
    shutdown.trigger();
    assert!(tasks.join().await.is_ok());
}

#[tokio::test]
async fn a_failed_critical_task_stops_the_others_and_is_named() {
    let tasks = Tasks::new(Shutdown::new(), Duration::from_secs(5));
    let token = tasks.shutdown_token();
    tasks.spawn("waits", async move { token.cancelled().await });
    tasks.spawn_critical("fails", async { Err(io::Error::other("no disk")) });
    let error = tasks.join().await.unwrap_err();
    assert_eq!(chain(&error), "task fails failed: no disk");
}

#[tokio::test]
async fn a_panic_stops_the_owner() {
    let tasks = Tasks::new(Shutdown::new(), Duration::from_secs(5));
    tasks.spawn("panics", async { panic!("on purpose") });
    assert!(matches!(tasks.join().await, Err(TasksError::Panicked { name: "panics" })));
}

#[tokio::test]
async fn what_does_not_stop_is_aborted_by_name() {
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone(), Duration::from_millis(50));
    tasks.spawn("deaf", std::future::pending());
    shutdown.trigger();
    assert!(matches!(tasks.join().await, Err(TasksError::Aborted(names)) if names == ["deaf"]));
}
