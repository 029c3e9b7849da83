//! Parts that fail while money is locked: it comes back within the stated time, or the job goes on.

use std::time::{Duration, Instant};

use ailayer_client::gateway::JobState;
use anyhow::{Context as _, ensure};

use crate::stage::services::Service;
use crate::stage::{PATIENCE, RUN_LIMIT, Stage, wait};

/// A run limit that is worth waiting for.
const SHORT_RUN_LIMIT: Duration = Duration::from_secs(4);
/// Beyond its limit a job ends as soon as somebody looks at it.
const SLACK: Duration = Duration::from_secs(8);
/// How long a service stands still. Two leases.
const STANDSTILL: Duration = Duration::from_secs(4);

/// Quoted, then no model: the money comes back within the run limit.
pub async fn the_model_server_dies_before_the_money_comes(stage: &Stage) -> anyhow::Result<()> {
    let limit = format!("{}s", SHORT_RUN_LIMIT.as_secs());
    stage.reconfigure(Service::Gateway, &[("run_limit", limit.into())]).await?;
    let deal = stage.quote().await?;
    stage.kill(Service::ModelServing).await?;
    stage.pay(&deal).await?;
    let began = Instant::now();
    stage.expect_money_back(&deal, JobState::Expired, "run_limit").await?;
    let took = began.elapsed();
    ensure!(
        took < SHORT_RUN_LIMIT + SLACK,
        "the money came back after {took:?}, the limit is {SHORT_RUN_LIMIT:?}"
    );
    stage.restart(Service::ModelServing).await?;
    let next = stage.buy().await?;
    stage.expect_settled(&next).await.map(drop)
}

/// A model server that hangs, is killed and comes back within the run limit costs an attempt, not the sale.
pub async fn the_model_server_hangs_and_comes_back(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    stage.hang(Service::ModelServing)?;
    stage.pay(&deal).await?;
    stage.follow_to(deal.key(), JobState::Running).await?;
    stage.kill(Service::ModelServing).await?;
    stage.restart(Service::ModelServing).await?;
    let settled = stage.expect_settled(&deal).await?;
    ensure!(settled.receipt.attempt == settled.job.attempts, "the receipt is about another attempt");
    let held = settled.receipt.completed_unix_ms.0.saturating_sub(settled.receipt.held_unix_ms.0);
    ensure!(u128::from(held) <= RUN_LIMIT.as_millis(), "served {held} ms after the money was locked");
    Ok(())
}

/// No receipt in the log, no claim: the answer is dropped and the money goes back.
pub async fn the_log_is_down(stage: &Stage) -> anyhow::Result<()> {
    stage.reconfigure(Service::Gateway, &[("append_timeout", "3s".into())]).await?;
    let deal = stage.quote().await?;
    stage.kill(Service::Audit).await?;
    stage.pay(&deal).await?;
    let job = stage.follow_to_end(deal.key()).await?;
    ensure!(
        (job.state, job.release_reason.as_str()) == (JobState::Failed, "audit_unavailable"),
        "the job ended {:?} ({})",
        job.state,
        job.release_reason
    );
    stage.check_payment_failed(&stage.buyer, deal.purchase.payment_hash).await?;
    // The closing entry waits for the log.
    stage.restart(Service::Audit).await?;
    stage.expect_money_back(&deal, JobState::Failed, "audit_unavailable").await.map(drop)
}

/// PostgreSQL is killed while money is locked, and comes back.
pub async fn the_database_goes_away_for_a_moment(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    stage.hang(Service::ModelServing)?;
    stage.pay(&deal).await?;
    stage.follow_to(deal.key(), JobState::Running).await?;
    stage.network.backbone.postgres.kill9().await?;
    stage.resume(Service::ModelServing)?;
    stage.network.backbone.postgres.restart().await?;
    stage.ending(&deal).await?;
    for service in Service::ALL {
        let process = stage.process_of(service);
        ensure!(process.process().is_running(), "{} did not outlive the database's absence", service.name());
        process.wait_until_ready().await?;
    }
    let next = stage.buy().await?;
    stage.expect_settled(&next).await.map(drop)
}

/// The node tells of the money, nobody can write that down, and the payment service dies before somebody can. The node tells again.
pub async fn money_that_comes_while_the_database_is_down(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    let log = stage.process_of(Service::Payment).log_file();
    let before = std::fs::read_to_string(&log)?.len();
    stage.network.backbone.postgres.kill9().await?;
    stage.pay(&deal).await?;
    wait::until("the node's event waits for the database", PATIENCE, || async {
        let text = std::fs::read_to_string(&log)?;
        Ok(text.get(before..).is_some_and(|new| new.contains("node event not handled")))
    })
    .await?;
    stage.kill(Service::Payment).await?;
    stage.network.backbone.postgres.restart().await?;
    stage.restart(Service::Payment).await?;
    stage.expect_settled(&deal).await.map(drop)
}

/// Longer than a lease, shorter than the run limit: what stood still is overtaken by nothing, and takes up where it was.
pub async fn services_that_stand_still_for_a_while(stage: &Stage) -> anyhow::Result<()> {
    for service in [Service::Gateway, Service::Payment, Service::Audit] {
        let deal = stage.quote().await?;
        stage.hang(Service::ModelServing)?;
        stage.pay(&deal).await?;
        stage.follow_to(deal.key(), JobState::Running).await?;
        stage.hang(service)?;
        stage.resume(Service::ModelServing)?;
        tokio::time::sleep(STANDSTILL).await;
        stage.resume(service)?;
        stage.expect_settled(&deal).await.with_context(|| format!("{} stood still", service.name()))?;
    }
    Ok(())
}
