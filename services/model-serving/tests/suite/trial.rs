//! A hostile model is found out in a process of its own; the old one serves on.

use std::path::Path;
use std::time::{Duration, Instant};

use ailayer_model_serving::{Config, ModelControl, Switch};
use ailayer_platform::error::ErrorReason;
use ailayer_proto::inference::ModelStatisticsRequest;
use tonic::Code;

use crate::support::{Repository, Running, refused};

/// Trials by the program made for it, within limits that a test can wait for.
pub fn tried(repository: &Repository) -> Config {
    let mut config = repository.config();
    config.model_control = ModelControl::Explicit;
    config.load_at_start = vec!["*".to_owned()];
    config.trial = Switch::On;
    config.trial_executable = Some(env!("CARGO_BIN_EXE_ailayer-trial-load").into());
    config.trial_memory_bytes = Some(1 << 30);
    config.trial_cpu_time = Duration::from_secs(60);
    config.trial_wall_time = Duration::from_secs(60);
    config
}

/// A model file that warms a graph up with one whole number.
pub fn warm_up(repository: &Repository, model: &str, input: &str, number: i64) {
    let root = repository.root().join(model);
    std::fs::create_dir_all(root.join("warmup")).unwrap();
    std::fs::write(root.join("warmup/number.bin"), number.to_le_bytes()).unwrap();
    let sample =
        format!("{{ name = \"{input}\", datatype = \"INT64\", shape = [1], file = \"number.bin\" }}");
    let toml = format!("batching.literal_shapes = true\n[[warm_up]]\ninputs = [{sample}]\n");
    std::fs::write(root.join("model.toml"), toml).unwrap();
}

async fn old_one_serves(service: &mut Running, why: &str) {
    assert_eq!(service.three_and_one("m").await.unwrap(), (4.0, "1".to_owned()), "{why}");
    service.until_ready().await;
}

async fn refusal(service: &mut Running) -> String {
    refused(service.load("m").await, Code::FailedPrecondition, ErrorReason::ModelNotLoadable)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_model_passes_and_is_measured() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    repository.add("embed", "t", "1");
    let mut service = Running::start(tried(&repository)).await;
    service.until_ready().await;
    old_one_serves(&mut service, "start").await;
    service.embed("t", &["one two"]).await.unwrap();
    service.load("m").await.unwrap();
    let request = ModelStatisticsRequest::default();
    let statistics = service.inference.model_statistics(request).await.unwrap().into_inner();
    for model in statistics.model_stats {
        let bytes = model.memory_usage[0].byte_size;
        assert!((1000..200_000_000).contains(&bytes), "{} {bytes}", model.name);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_models_leave_the_old_one_serving_and_say_why() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut config = tried(&repository);
    config.trial_cpu_time = Duration::from_secs(2);
    let mut service = Running::start(config).await;
    service.until_ready().await;

    repository.add("corrupt", "m", "2");
    let why = refusal(&mut service).await;
    assert!(why.contains("m/2") && why.contains("not an ONNX file"), "{why}");
    old_one_serves(&mut service, &why).await;

    // 64 GiB, far more than there is; and 3 GiB, which there may be.
    for elements in [1_i64 << 34, 3 << 28] {
        repository.add("memory", "m", "2");
        warm_up(&repository, "m", "elements", elements);
        let why = refusal(&mut service).await;
        assert!(why.contains("memory") && why.contains("1073741824 bytes"), "{why}");
        old_one_serves(&mut service, &why).await;
    }

    repository.add("time", "m", "2");
    warm_up(&repository, "m", "count", i64::MAX);
    let why = refusal(&mut service).await;
    assert!(why.contains("processor time") && why.contains("2 s"), "{why}");
    old_one_serves(&mut service, &why).await;
    service.until_states(&["m/1 READY", "m/2 UNAVAILABLE"]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_takes_too_long_is_killed() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut config = tried(&repository);
    config.trial_wall_time = Duration::from_secs(3);
    let mut service = Running::start(config).await;
    service.until_ready().await;
    repository.add("time", "m", "2");
    warm_up(&repository, "m", "count", i64::MAX);
    let started = Instant::now();
    let why = refusal(&mut service).await;
    assert!(why.contains("longer than its limit of 3 s"), "{why}");
    assert!(started.elapsed() < Duration::from_secs(20));
    old_one_serves(&mut service, &why).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_is_killed_is_a_reason() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut service = Running::start(tried(&repository)).await;
    service.until_ready().await;
    repository.add("time", "m", "2");
    warm_up(&repository, "m", "count", i64::MAX);
    let kill = async {
        let pid = loop {
            match trial_of(&repository.cache()) {
                Some(pid) => break pid,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    let (why, ()) = tokio::join!(refusal(&mut service), kill);
    assert!(why.contains("SIGKILL"), "{why}");
    old_one_serves(&mut service, &why).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_trial() {
    let repository = Repository::new();
    repository.add("time", "m", "1");
    warm_up(&repository, "m", "count", i64::MAX);
    let service = Running::start(tried(&repository)).await;
    while trial_of(&repository.cache()).is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let asked = Instant::now();
    service.stop().await;
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(trial_of(&repository.cache()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_told_by_its_signal() {
    let ends = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/ends.sh");
    for (how, why) in [
        ("segmentation-fault", "killed by SIGSEGV"),
        ("abort", "killed by SIGABRT: free(): invalid pointer"),
        ("out-of-memory", "more memory than its limit"),
        ("out-of-time", "more processor time"),
        ("without-report", "gave no report (exit status: 3): last words"),
    ] {
        let repository = Repository::new();
        repository.add("add", "m", "1");
        let mut config = tried(&repository);
        let program = repository.root().with_file_name(how);
        std::os::unix::fs::symlink(ends, &program).unwrap();
        config.trial_executable = Some(program);
        let mut service = Running::start(config).await;
        service.until_states(&["m/1 UNAVAILABLE"]).await;
        service.until_reason("m", "1", why).await;
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_knows_no_trials_refuses_everything() {
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut config = tried(&repository);
    config.trial_executable = Some("/bin/true".into());
    let mut service = Running::start(config).await;
    service.until_states(&["m/1 UNAVAILABLE"]).await;
    service.until_reason("m", "1", "/bin/true gave no report").await;
    service.stop().await;
}

/// ONNX Runtime's own store of telemetry would grow in the home of whoever runs this, past what a trial may write.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_keeps_the_engine_from_storing_telemetry() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("shows-its-environment");
    std::fs::write(&program, "#!/bin/sh\nenv >&2\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let repository = Repository::new();
    repository.add("add", "m", "1");
    let mut config = tried(&repository);
    config.trial_executable = Some(program);
    let mut service = Running::start(config).await;
    service.until_reason("m", "1", "ORT_DISABLE_TELEMETRY=1").await;
    service.stop().await;
}

/// The process that has its report in this cache.
fn trial_of(cache: &Path) -> Option<i32> {
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    processes.filter_map(|name| name.parse::<i32>().ok()).find(|pid| {
        let report = std::fs::read_link(format!("/proc/{pid}/fd/1"));
        report.is_ok_and(|report| report.starts_with(cache))
    })
}
