//! Ends that were asked for: within the grace period, with exit code 0, leaving nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ailayer_client::gateway::JobState;
use ailayer_devnet::{AilayerBinary, Signal};
use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use crate::harness::Scenario;
use crate::stage::services::Service;
use crate::stage::{PATIENCE, Stage, wait};

/// The default grace period, and a moment to exit.
const GRACE: Duration = Duration::from_secs(12);
/// PostgreSQL, bitcoind, ElectrumX and five services on a busy machine.
const UP: Duration = Duration::from_secs(90);

/// Scenarios that bring what they need.
pub fn alone() -> Vec<Scenario> {
    vec![Scenario::alone("shutdown::up_leaves_nothing_after_ctrl_c", up_leaves_nothing_after_ctrl_c)]
}

/// SIGTERM to each service in turn while streams are open and money is locked: exit code 0 in time, and the job goes
/// on afterwards.
pub async fn every_service_ends_when_asked(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    stage.hang(Service::ModelServing)?;
    stage.pay(&deal).await?;
    stage.follow_to(deal.key(), JobState::Running).await?;
    // Streams have no end of their own: a stop must not wait for their readers.
    let mut jobs = stage.gateway.watch_job(deal.key()).await?;
    let mut events = stage.payment.watch_events(0).await?;
    jobs.next().await.context("the job's stream is empty")??;
    events.next().await.context("the event stream is empty")??;
    ends_in_time(stage, Service::Gateway).await?;
    ends_in_time(stage, Service::Payment).await?;
    stage.resume(Service::ModelServing)?;
    stage.restart(Service::Payment).await?;
    stage.restart(Service::Gateway).await?;
    stage.expect_settled(&deal).await?;
    for service in Service::ALL.into_iter().rev() {
        ends_in_time(stage, service).await?;
    }
    Ok(())
}

async fn ends_in_time(stage: &Stage, service: Service) -> anyhow::Result<()> {
    let process = stage.process_of(service);
    let began = Instant::now();
    process.process().signal(Signal::TERM)?;
    let status = process.wait_for_exit(GRACE).await.with_context(|| service.name())?;
    ensure!(status.success(), "{} ended with {status} after {:?}", service.name(), began.elapsed());
    Ok(())
}

/// `ailayer up --devnet`, then SIGINT to the supervisor alone, as a terminal's Ctrl-C may reach it.
async fn up_leaves_nothing_after_ctrl_c() -> anyhow::Result<()> {
    let mut up = Command::new(AilayerBinary::find()?.path())
        .args(["up", "--devnet", "--json"])
        .env_remove("AILAYER_KEEP_LOGS")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let pid = up.id().context("it has ended at once")?;
    let told = tokio::time::timeout(UP, first_object(&mut up)).await.context("it is not up in time")??;
    let folder = told.get("data_dir").and_then(Value::as_str).context("it names no folder")?;
    let services = told.get("services").and_then(Value::as_object).context("it names no services")?;
    ensure!(services.len() == Service::ALL.len(), "it names {} services", services.len());
    let family = descendants(pid)?;
    ensure!(family.len() >= 8, "only {} processes below it", family.len());
    let supervisor = rustix::process::Pid::from_raw(i32::try_from(pid)?).context("no pid")?;
    rustix::process::kill_process(supervisor, rustix::process::Signal::INT)?;
    let status = tokio::time::timeout(PATIENCE, up.wait()).await.context("it does not end")??;
    ensure!(status.success(), "it ended with {status}");
    wait::found("the end of all processes", Duration::from_secs(10), || async {
        let left: Vec<_> = family.iter().filter(|pid| is_alive(**pid)).collect();
        ensure!(left.is_empty(), "{left:?} are left of {family:?}");
        Ok(())
    })
    .await?;
    ensure!(!Path::new(folder).exists(), "{folder} is left");
    Ok(())
}

/// What a process prints up to the end of its first JSON object.
async fn first_object(child: &mut Child) -> anyhow::Result<Value> {
    let mut output = child.stdout.take().context("no output")?;
    let mut text = Vec::new();
    loop {
        if let Ok(value) = serde_json::from_slice(&text) {
            // Kept open, so that later lines do not break its pipe.
            child.stdout = Some(output);
            return Ok(value);
        }
        let read = output.read_buf(&mut text).await?;
        ensure!(read > 0, "it ended: {}", String::from_utf8_lossy(&text));
    }
}

/// All processes below one.
fn descendants(root: u32) -> anyhow::Result<BTreeSet<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse::<u32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut family = BTreeSet::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        let children = parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid);
        next.extend(children.filter(|pid| family.insert(*pid)));
    }
    Ok(family)
}

/// State, parent and so on, behind the name in parentheses.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

/// Whether it exists and is not just waiting to be reaped.
fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z"))
}
