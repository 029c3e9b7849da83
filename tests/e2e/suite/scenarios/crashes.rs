//! kill -9 behind each durable write of a paid job, then a restart: answer for money, or neither. It kills the service that
//! has written, another one, or PostgreSQL.
//!
//! Points are those of MONEY's table: `g` a write of the gateway, `p` of payment, `a` of audit, `r` of the release, `d` of a
//! deposit.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ailayer_client::gateway::JobState;
use ailayer_primitives::RequestId;
use anyhow::{Context as _, ensure};
use uuid::Uuid;

use crate::harness::{Sample, Scenario};
use crate::stage::Stage;
use crate::stage::blows::{Blow, Victim};
use crate::stage::endings::Ending;
use crate::stage::purchase::Deal;
use crate::stage::services::Service;

/// How long anchoring may take to its crash point, block by block.
const TO_THE_POINT: Duration = Duration::from_secs(30);
const SERVICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services");

/// When a point is passed.
#[derive(Debug, Clone, Copy)]
enum On {
    /// While the quote is made: nothing was shown yet.
    Quote,
    /// While a paid job runs: it must go on.
    Payment,
    /// While a sealed answer is delivered and acknowledged: it must go on.
    Sealed,
    /// While a job that was paid is given up.
    Cancellation,
    /// While the log is anchored in a block.
    Anchor,
    /// While a deposit's invoice is made: nothing was shown yet.
    DepositRequest,
    /// While a deposit is paid: it must be credited, once.
    DepositPayment,
    /// While a prepaid job runs: it must go on, and be charged once.
    Charge,
}

const POINTS: [(Service, On, &str); 36] = [
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
    (Service::Gateway, On::Sealed, "gateway.g7.append_noted"),
    (Service::Gateway, On::Sealed, ACKNOWLEDGED),
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
    (Service::Audit, On::Anchor, "audit.anchor.signed"),
    (Service::Audit, On::Anchor, "audit.anchor.broadcast"),
    (Service::Gateway, On::DepositRequest, "gateway.d1.stored"),
    (Service::Gateway, On::DepositPayment, "gateway.d3.claim_called"),
    (Service::Gateway, On::DepositPayment, "gateway.d4.credited"),
    (Service::Gateway, On::Charge, "gateway.g5.running"),
    (Service::Gateway, On::Charge, "gateway.g6.completed"),
    (Service::Audit, On::Charge, "audit.a7.appended"),
    (Service::Gateway, On::Charge, "gateway.a7.appended"),
    (Service::Gateway, On::Charge, "gateway.g11.settled"),
    (Service::Gateway, On::Charge, "gateway.a12.closed"),
];

/// Behind it the buyer's turn is over.
const ACKNOWLEDGED: &str = "gateway.g7.acknowledged";

/// What a customer puts on the account.
const DEPOSIT_MSAT: u64 = 20_000;

/// The only points that a channel may not survive when the payment service dies there: its node is writing down a claim or a
/// fail-back, or did a moment ago, its channel monitor ahead of its channel manager. Everywhere else a closed channel is a fault.
const MAY_CLOSE_THE_CHANNEL: [&str; 11] = [
    "payment.p9.after_claim_call",
    "payment.p10.claimed",
    "payment.r2.after_fail_call",
    "payment.r3.released",
    "gateway.p9.claim_called",
    "gateway.g11.settled",
    "gateway.a12.closed",
    "gateway.r2.release_called",
    "gateway.r3.released",
    "gateway.d3.claim_called",
    "gateway.d4.credited",
];

/// Who else is killed behind a write, and how many of those scenarios a run without a filter draws.
const OTHERS: [(Victim, usize); 5] = [
    (Victim::Postgres, 4),
    (Victim::Service(Service::Gateway), 1),
    (Victim::Service(Service::Payment), 1),
    (Victim::Service(Service::ModelServing), 1),
    (Victim::Service(Service::Audit), 1),
];

/// One scenario a point and victim. The writer's own death always runs; of the others those that the sample draws, or that a
/// filter names.
pub fn all(sample: &mut Sample) -> Vec<Scenario> {
    let every_point = Scenario::alone("crashes::every_point_has_a_scenario", every_point_has_a_scenario);
    let mut all = vec![every_point];
    all.extend(POINTS.into_iter().map(|(writer, on, point)| {
        scenario(String::new(), on, Blow { writer, point, victim: Victim::Writer })
    }));
    for (victim, count) in OTHERS {
        let name = match victim {
            Victim::Writer => continue,
            Victim::Service(service) => service.name(),
            Victim::Postgres => "postgres",
        };
        let points = POINTS.into_iter().filter(|(writer, ..)| victim != Victim::Service(*writer));
        let points: Vec<_> = points.collect();
        let drawn = sample.draw(count, points.len());
        all.extend(points.into_iter().enumerate().map(|(place, (writer, on, point))| {
            let scenario = scenario(format!("{name}_behind::"), on, Blow { writer, point, victim });
            if drawn.contains(&place) { scenario } else { scenario.only_if_named() }
        }));
    }
    all
}

fn scenario(victim: String, on: On, blow: Blow) -> Scenario {
    let rail = if matches!(on, On::Charge) { "prepaid::" } else { "" };
    Scenario::on_stage(format!("crashes::{victim}{rail}{}", blow.point), move |stage| {
        Box::pin(crash(stage, on, blow))
    })
}

/// A point that somebody adds to a service must not go untested.
async fn every_point_has_a_scenario() -> anyhow::Result<()> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::from(SERVICES)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("tests") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path)?;
                found.extend(text.split('"').filter(|literal| is_point(literal)).map(str::to_owned));
            }
        }
    }
    let tested: BTreeSet<String> = POINTS.iter().map(|(_, _, point)| (*point).to_owned()).collect();
    ensure!(found == tested, "crash points in the sources: {found:#?}, with scenarios: {tested:#?}");
    Ok(())
}

/// `service.row.name`, where a row of MONEY's table is a letter and a number.
fn is_point(literal: &str) -> bool {
    let parts: Vec<&str> = literal.split('.').collect();
    let [service, row, name] = parts.as_slice() else { return false };
    let number = row.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let is_row =
        row.len() == number.len() + 1 && !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit());
    Service::ALL.iter().any(|it| it.name() == *service)
        && (is_row || *row == "anchor")
        && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
}

async fn crash(stage: &Stage, on: On, blow: Blow) -> anyhow::Result<()> {
    match on {
        On::Quote => while_quoting(stage, blow).await,
        On::Payment => while_paid(stage, blow).await,
        On::Sealed => while_sealed(stage, blow).await,
        On::Cancellation => while_giving_up(stage, blow).await,
        On::Anchor => while_anchoring(stage, blow).await,
        On::DepositRequest => while_asking_for_a_deposit(stage, blow).await,
        On::DepositPayment => while_depositing(stage, blow).await,
        On::Charge => while_charging(stage, blow).await,
    }
}

/// The buyer repeats its request, as it may, and gets one quote that it can pay.
async fn while_quoting(stage: &Stage, blow: Blow) -> anyhow::Result<()> {
    stage.prepare(blow).await?;
    let order = stage.order(&["the first request is answered by nobody"]);
    let (first, struck) = tokio::join!(stage.gateway.create_quote(&order), stage.strike(blow));
    struck?;
    let point = blow.point;
    let may_answer = blow.victim != Victim::Writer;
    ensure!(may_answer || first.is_err(), "a quote was given out although {point} comes before its answer");
    let deal = stage.quote_for(order).await?;
    let request_id = deal.order.request_id.to_string();
    let jobs = "select count(*) from gateway.jobs where request_id = $1::text::uuid";
    ensure!(stage.count_for(jobs, &request_id).await? == 1, "the request has made more than one job");
    stage.pay(&deal).await?;
    stage.expect_settled(&deal).await.map(drop)
}

/// Nothing was given up and time is left, so the job must settle: giving back would be safe, but a loss of service.
async fn while_paid(stage: &Stage, blow: Blow) -> anyhow::Result<()> {
    stage.prepare(blow).await?;
    let deal = stage.buy().await?;
    stage.strike(blow).await?;
    if !stage.buyer.has_channel() {
        return closed_channel(stage, &deal, blow, JobState::Settled).await;
    }
    stage.expect_settled(&deal).await.map(drop)
}

/// The buyer acknowledges once, before the crash or behind it; the answer then settles and opens.
async fn while_sealed(stage: &Stage, blow: Blow) -> anyhow::Result<()> {
    stage.prepare(blow).await?;
    let deal = stage.quote_sealed().await?;
    stage.pay(&deal).await?;
    if blow.point == ACKNOWLEDGED {
        // Its answer dies with the gateway, and is not asked for again.
        let (acknowledged, struck) = tokio::join!(stage.acknowledge(&deal), stage.strike(blow));
        struck?;
        let may_answer = blow.victim != Victim::Writer;
        ensure!(may_answer || acknowledged.is_err(), "it was answered although {} comes before", blow.point);
    } else {
        stage.strike(blow).await?;
        stage.acknowledge(&deal).await?;
    }
    stage.expect_settled(&deal).await.map(drop)
}

/// The channel may go with the node where the table says so; how the job ends does not depend on it.
async fn closed_channel(stage: &Stage, deal: &Deal, blow: Blow, expected: JobState) -> anyhow::Result<()> {
    ensure!(may_close_the_channel(blow), "{blow:?} has closed the channel");
    let state = stage.ending_of_closed_channel(deal).await?;
    ensure!(state == expected, "the job ended {state:?} instead of {expected:?}, its channel closed");
    Ok(())
}

fn may_close_the_channel(blow: Blow) -> bool {
    blow.kills(Service::Payment) && MAY_CLOSE_THE_CHANNEL.contains(&blow.point)
}

/// The model hangs, so that the job cannot be over before the buyer gives it up.
async fn while_giving_up(stage: &Stage, blow: Blow) -> anyhow::Result<()> {
    stage.prepare(blow).await?;
    let deal = stage.quote().await?;
    stage.hang(Service::ModelServing)?;
    stage.pay(&deal).await?;
    stage.follow_to(deal.key(), JobState::Running).await?;
    // Its answer may die with the gateway.
    let (_, fallen) = tokio::join!(stage.gateway.cancel_job(deal.key()), stage.fall(blow));
    fallen?;
    stage.resume(Service::ModelServing)?;
    stage.recover(blow).await?;
    if !stage.buyer.has_channel() {
        return closed_channel(stage, &deal, blow, JobState::Canceled).await;
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

/// The signed transaction is stored before it is sent, so the same one is sent again and the proof comes.
async fn while_anchoring(stage: &Stage, blow: Blow) -> anyhow::Result<()> {
    stage.prepare(blow).await?;
    let deal = stage.buy().await?;
    // An anchor that is still on its way is confirmed first. A block or two do not hurt the hold.
    let began = Instant::now();
    while !stage.is_at_the_point(blow) && began.elapsed() < TO_THE_POINT {
        stage.mine(1).await?;
    }
    stage.strike(blow).await?;
    stage.expect_settled(&deal).await?;
    stage.anchored(&deal).await.map(drop)
}

/// The customer repeats its request, as it may, and gets one invoice that is credited once.
async fn while_asking_for_a_deposit(stage: &Stage, blow: Blow) -> anyhow::Result<()> {
    let customer = stage.new_customer().await?;
    stage.prepare(blow).await?;
    let request_id = RequestId::new(Uuid::new_v4());
    let (first, struck) =
        tokio::join!(customer.client.create_deposit(request_id, DEPOSIT_MSAT), stage.strike(blow));
    struck?;
    let point = blow.point;
    let may_answer = blow.victim != Victim::Writer;
    ensure!(
        may_answer || first.is_err(),
        "an invoice was given out although {point} comes before its answer"
    );
    let deposit = customer.invoice(request_id, DEPOSIT_MSAT).await?;
    let deposits = "select count(*) from gateway.deposits where request_id = $1::text::uuid";
    let made = stage.count_for(deposits, &request_id.to_string()).await?;
    ensure!(made == 1, "the request has made {made} deposits");
    stage.pay_deposit(&deposit).await?;
    customer.credited(&deposit.deposit_id).await?;
    customer.expect_balance(i64::try_from(DEPOSIT_MSAT)?).await
}

/// Money that was locked to a deposit's invoice is the customer's, once.
async fn while_depositing(stage: &Stage, blow: Blow) -> anyhow::Result<()> {
    let customer = stage.new_customer().await?;
    stage.prepare(blow).await?;
    let deposit = customer.invoice(RequestId::new(Uuid::new_v4()), DEPOSIT_MSAT).await?;
    let before_msat = stage.pay_deposit(&deposit).await?;
    stage.strike(blow).await?;
    let deposit = customer.credited(&deposit.deposit_id).await?;
    if !stage.buyer.has_channel() {
        ensure!(may_close_the_channel(blow), "{blow:?} has closed the channel");
        stage.deposit_of_closed_channel(&deposit, before_msat).await?;
    }
    ensure!(deposit.credited_msat == DEPOSIT_MSAT, "{} msat are credited", deposit.credited_msat);
    stage.check_ledger_balance().await?;
    customer.expect_balance(i64::try_from(DEPOSIT_MSAT)?).await
}

/// The call dies with the gateway, the job does not: a repetition answers it, and it was charged once.
async fn while_charging(stage: &Stage, blow: Blow) -> anyhow::Result<()> {
    let customer = stage.customer_with(DEPOSIT_MSAT).await?;
    stage.prepare(blow).await?;
    let order = customer.order(&["charged once, whatever dies"]);
    tokio::select! {
        struck = stage.strike(blow) => struck?,
        () = async {
            let _ = customer.client.run(&order).await;
            std::future::pending().await
        } => {}
    }
    stage.expect_charged(&customer, &order, i64::try_from(DEPOSIT_MSAT)?).await.map(drop)
}
