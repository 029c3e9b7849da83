//! kill -9 behind each durable write of a paid job, then a restart: answer for money, or neither.
//!
//! Points are those of MONEY's table: `g` a write of the gateway, `p` of payment, `a` of audit, `r` of the release.

use std::time::Duration;

use ailayer_client::gateway::JobState;
use anyhow::{Context as _, ensure};

use crate::harness::Scenario;
use crate::stage::Stage;
use crate::stage::endings::Ending;
use crate::stage::services::Service;

/// How long a service may take to its crash point.
const TO_THE_POINT: Duration = Duration::from_secs(30);

/// When a point is passed.
#[derive(Debug, Clone, Copy)]
enum On {
    /// While the quote is made: nothing was shown yet.
    Quote,
    /// While a paid job runs: it must go on.
    Payment,
    /// While a job that was paid is given up.
    Cancellation,
}

const POINTS: [(Service, On, &str); 23] = [
    (Service::Gateway, On::Quote, "gateway.g1.quoted"),
    (Service::Payment, On::Quote, "payment.p2.intent"),
    (Service::Payment, On::Quote, "payment.p2.open"),
    (Service::Gateway, On::Quote, "gateway.g2.invoice_stored"),
    (Service::Payment, On::Payment, "payment.p3.accepted"),
    (Service::Gateway, On::Payment, "gateway.g4.held"),
    (Service::Gateway, On::Payment, "gateway.g5.running"),
    (Service::Gateway, On::Payment, "gateway.g6.completed"),
    (Service::Audit, On::Payment, "audit.a7.appended"),
    (Service::Gateway, On::Payment, "gateway.a7.appended"),
    (Service::Gateway, On::Payment, "gateway.g8.taking"),
    (Service::Payment, On::Payment, "payment.p9.claim_requested"),
    (Service::Payment, On::Payment, "payment.p9.after_claim_call"),
    (Service::Gateway, On::Payment, "gateway.p9.claim_called"),
    (Service::Payment, On::Payment, "payment.p10.claimed"),
    (Service::Gateway, On::Payment, "gateway.g11.settled"),
    (Service::Gateway, On::Payment, "gateway.a12.closed"),
    (Service::Gateway, On::Cancellation, "gateway.r1.releasing"),
    (Service::Payment, On::Cancellation, "payment.r2.release_requested"),
    (Service::Payment, On::Cancellation, "payment.r2.after_fail_call"),
    (Service::Gateway, On::Cancellation, "gateway.r2.release_called"),
    (Service::Payment, On::Cancellation, "payment.r3.released"),
    (Service::Gateway, On::Cancellation, "gateway.r3.released"),
];

/// One scenario a point.
pub fn all() -> Vec<Scenario> {
    let scenario = |(service, on, point)| {
        Scenario::on_stage(format!("crashes::{point}"), move |stage| {
            Box::pin(crash(stage, service, on, point))
        })
    };
    POINTS.into_iter().map(scenario).collect()
}

async fn crash(stage: &Stage, service: Service, on: On, point: &str) -> anyhow::Result<()> {
    match on {
        On::Quote => while_quoting(stage, service, point).await,
        On::Payment => while_paid(stage, service, point).await,
        On::Cancellation => while_giving_up(stage, service, point).await,
    }
}

/// The buyer repeats its request, as it may, and gets one quote that it can pay.
async fn while_quoting(stage: &Stage, service: Service, point: &str) -> anyhow::Result<()> {
    stage.arm(service, point).await?;
    let order = stage.order(&["the first request is answered by nobody"]);
    let first = tokio::join!(stage.gateway.create_quote(&order), stage.wait_for_crash(service, TO_THE_POINT));
    first.1?;
    ensure!(first.0.is_err(), "a quote was given out although {point} comes before its answer");
    stage.restart(service).await?;
    let deal = stage.quote_for(order).await?;
    let request_id = deal.order.request_id.to_string();
    let jobs = "select count(*) from gateway.jobs where request_id = $1::text::uuid";
    ensure!(stage.count_for(jobs, &request_id).await? == 1, "the request has made more than one job");
    stage.pay(&deal).await?;
    stage.expect_settled(&deal).await.map(drop)
}

/// Nothing was given up and time is left, so the job must settle: giving back would be safe, but a loss of service.
async fn while_paid(stage: &Stage, service: Service, point: &str) -> anyhow::Result<()> {
    stage.arm(service, point).await?;
    let deal = stage.buy().await?;
    stage.wait_for_crash(service, TO_THE_POINT).await?;
    stage.restart(service).await?;
    if !stage.buyer.has_channel() {
        return stage.ending_of_closed_channel(&deal).await;
    }
    stage.expect_settled(&deal).await.map(drop)
}

/// The model hangs, so that the job cannot be over before the buyer gives it up.
async fn while_giving_up(stage: &Stage, service: Service, point: &str) -> anyhow::Result<()> {
    stage.arm(service, point).await?;
    let deal = stage.quote().await?;
    stage.hang(Service::ModelServing)?;
    stage.pay(&deal).await?;
    stage.follow_to(deal.key(), JobState::Running).await?;
    // Its answer may die with the gateway.
    let (_, crashed) =
        tokio::join!(stage.gateway.cancel_job(deal.key()), stage.wait_for_crash(service, TO_THE_POINT));
    crashed?;
    stage.resume(Service::ModelServing)?;
    stage.restart(service).await?;
    if !stage.buyer.has_channel() {
        return stage.ending_of_closed_channel(&deal).await;
    }
    match stage.ending(&deal).await.context("after giving up")? {
        Ending::MoneyBack(job) => {
            ensure!(
                job.state == JobState::Canceled,
                "the job ended {:?} ({})",
                job.state,
                job.release_reason
            );
            Ok(())
        }
        Ending::Settled(_) => anyhow::bail!("a job that was given up was settled"),
    }
}
