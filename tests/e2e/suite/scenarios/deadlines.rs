//! Blocks run out while money is locked. The only scenarios that mine then.

use std::time::Duration;

use ailayer_client::gateway::JobState;
use ailayer_client::payment::HoldInvoiceState;
use anyhow::ensure;

use crate::stage::Stage;
use crate::stage::endings::Ending;
use crate::stage::purchase::Deal;
use crate::stage::services::Service;
use crate::stage::wait;

const TO_THE_POINT: Duration = Duration::from_secs(30);

/// A paid job whose gateway has died behind a write.
async fn paid_and_dead(stage: &Stage, point: &str) -> anyhow::Result<(Deal, u32)> {
    stage.arm(Service::Gateway, point).await?;
    let deal = stage.buy().await?;
    stage.wait_for_crash(Service::Gateway, TO_THE_POINT).await?;
    let deadline = stage.claim_deadline(&deal).await?;
    Ok((deal, deadline))
}

async fn money_back_without_the_gateway(stage: &Stage, deal: &Deal) -> anyhow::Result<()> {
    stage.check_payment_failed(&stage.buyer, deal.purchase.payment_hash).await?;
    stage.check_outbound(deal.before_msat).await?;
    ensure!(!stage.network.gateway.process().is_running(), "the gateway was to stay down");
    Ok(())
}

/// The payment service gives money back by itself, one block before the node would; not earlier.
pub async fn the_guard_gives_held_money_back_without_the_gateway(stage: &Stage) -> anyhow::Result<()> {
    let (deal, deadline) = paid_and_dead(stage, "gateway.g4.held").await?;
    stage.mine_up_to(deadline - 2).await?;
    ensure!(
        stage.payment.hold_invoice(deal.invoice_id()).await?.state == HoldInvoiceState::Accepted,
        "the money was given back before the guard's time"
    );
    wait::until("an operator sees two blocks left", TO_THE_POINT, || async {
        Ok(stage.metric(Service::Payment, "ailayer_hold_invoice_blocks_left", "").await? == 2.0)
    })
    .await?;
    stage.mine(1).await?;
    money_back_without_the_gateway(stage, &deal).await?;
    stage.restart(Service::Gateway).await?;
    let Ending::MoneyBack(job) = stage.ending(&deal).await? else {
        anyhow::bail!("the job settled after the money had gone back")
    };
    // The event that tells of it, or the look at the chain before the model runs: whichever comes first.
    let reasons = ["hold_released", "deadline_too_close"];
    let as_expected = job.state == JobState::Failed && reasons.contains(&job.release_reason.as_str());
    ensure!(as_expected, "the job ended {:?} ({})", job.state, job.release_reason);
    Ok(())
}

/// "Claim authorised" was logged and the claim did not happen: the log must say so.
pub async fn a_logged_receipt_is_voided_when_blocks_run_out(stage: &Stage) -> anyhow::Result<()> {
    let (deal, deadline) = paid_and_dead(stage, "gateway.a7.appended").await?;
    stage.mine_up_to(deadline - 1).await?;
    money_back_without_the_gateway(stage, &deal).await?;
    stage.restart(Service::Gateway).await?;
    // Ends with a closing entry that says VOIDED: `ending` asks for it wherever there is a receipt.
    let Ending::MoneyBack(job) = stage.ending(&deal).await? else {
        anyhow::bail!("the job settled after the money had gone back")
    };
    ensure!(job.state == JobState::Failed, "the job ended {:?} ({})", job.state, job.release_reason);
    stage.check_receipt_logged(&deal).await
}

/// The gateway died between authorising the claim and asking for it; the guard asks nobody.
pub async fn a_claim_that_was_never_asked_for_is_written_off(stage: &Stage) -> anyhow::Result<()> {
    let (deal, deadline) = paid_and_dead(stage, "gateway.g8.taking").await?;
    stage.mine_up_to(deadline - 1).await?;
    money_back_without_the_gateway(stage, &deal).await?;
    stage.restart(Service::Gateway).await?;
    stage.expect_lost(&deal).await
}

/// Row 11 with the other ending: the gateway dies behind the write-off, too, before its closing entry is in the log.
pub async fn a_crash_behind_the_write_off_changes_nothing(stage: &Stage) -> anyhow::Result<()> {
    let (deal, deadline) = paid_and_dead(stage, "gateway.g8.taking").await?;
    stage.mine_up_to(deadline - 1).await?;
    money_back_without_the_gateway(stage, &deal).await?;
    stage.crash_again(Service::Gateway, "gateway.g11.settled", TO_THE_POINT).await?;
    let state = "select count(*) from gateway.jobs where request_id = $1::text::uuid and state = 'LOST'";
    let lost = stage.count_for(state, &deal.order.request_id.to_string()).await?;
    ensure!(lost == 1, "the gateway did not die behind the write-off");
    stage.restart(Service::Gateway).await?;
    stage.expect_lost(&deal).await
}

/// The payment service died behind its own authorisation and came back after the deadline. If its node still has the
/// money when the claim is repeated, the claim holds; if the node has given it back before, no event ever says so,
/// and the job is written off.
pub async fn a_claim_that_comes_late_is_settled_or_written_off(stage: &Stage) -> anyhow::Result<()> {
    stage.reconfigure(Service::Payment, &[("lost_settle_time", "3s".into())]).await?;
    stage.arm(Service::Payment, "payment.p9.claim_requested").await?;
    let deal = stage.buy().await?;
    stage.wait_for_crash(Service::Payment, TO_THE_POINT).await?;
    let deadline = "select claim_deadline_height from payment.hold_invoice where invoice_id = $1::text::uuid";
    let deadline = stage.count_for(deadline, &deal.invoice_id().to_string()).await?;
    stage.mine_up_to(u32::try_from(deadline)? + 1).await?;
    stage.restart(Service::Payment).await?;
    if !stage.buyer.has_channel() {
        return stage.ending_of_closed_channel(&deal).await.map(drop);
    }
    let job = stage.follow_to_end(deal.key()).await?;
    stage.note(format!("the late claim ended {:?}", job.state));
    match job.state {
        JobState::Settled => stage.expect_settled(&deal).await.map(drop),
        _ => stage.expect_lost(&deal).await,
    }
}
