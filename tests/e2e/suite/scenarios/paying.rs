//! Paying twice, late, too much, too little, and after giving up: money is where MONEY says.

use std::time::Duration;

use ailayer_client::ErrorReason;
use ailayer_client::gateway::JobState;
use ailayer_client::payment::HoldInvoiceState;
use ailayer_payer::PaymentOutcome;
use ailayer_platform::clock;
use ailayer_primitives::AmountMsat;
use anyhow::{Context as _, bail, ensure};

use crate::stage::forged::forged;
use crate::stage::purchase::Deal;
use crate::stage::services::Service;
use crate::stage::{PATIENCE, Stage, wait};

/// Short enough to wait for, long enough to pay in time on a busy machine.
const SHORT_QUOTE: Duration = Duration::from_secs(6);

/// While money is held, and again after it was taken, by the buyer and by somebody else who knows the invoice.
pub async fn the_same_invoice_twice(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    let stranger_before = stage.outbound_msat(&stage.stranger).await?;
    stage.hang(Service::ModelServing)?;
    stage.pay(&deal).await?;
    stage.follow_to(deal.key(), JobState::Running).await?;

    let price = deal.purchase.quote.price_msat;
    ensure!(!stage.buyer.pay(&deal.purchase.bolt11, price).await?, "the buyer's node pays an invoice twice");
    ensure!(
        stage.stranger.pay(&deal.purchase.bolt11, price).await?,
        "the stranger's node has not paid before"
    );
    stage.check_payment_failed(&stage.stranger, deal.purchase.payment_hash).await.context("while held")?;
    stage.check_outbound_of(&stage.stranger, stranger_before).await?;

    stage.resume(Service::ModelServing)?;
    stage.expect_settled(&deal).await?;
    ensure!(!stage.buyer.pay(&deal.purchase.bolt11, price).await?, "the buyer's node pays an invoice twice");
    pay_in_vain(stage, &deal.purchase.bolt11, price).await.context("after it was taken")?;
    stage.check_payment_failed(&stage.stranger, deal.purchase.payment_hash).await?;
    stage.check_outbound_of(&stage.stranger, stranger_before).await?;
    // Nothing of that may have touched the first sale.
    stage.expect_settled(&deal).await.map(drop)
}

/// An HTLC is claimed whole and there is no change: what is not the price goes back.
pub async fn more_or_less_than_the_price(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    // No honest node sends less than an invoice asks, so this one is told that half was asked.
    refused_by_the_seller(stage, &deal, deal.price_msat() / 2).await.context("half the price")?;
    ensure!(stage.job(deal.key()).await?.state == JobState::Quoted, "half the price has moved the job");

    let more = AmountMsat::try_new(deal.price_msat() + 500)?;
    ensure!(
        stage.buyer.pay_amount(&deal.purchase.bolt11, more).await?,
        "the buyer's node has not paid before"
    );
    let job = stage.follow_to_end(deal.key()).await?;
    ensure!(job.state == JobState::Failed, "the job ended {:?}", job.state);
    stage.ending(&deal).await.map(drop)
}

/// Cancel, then pay: the money is refused, now and again.
pub async fn after_giving_up(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    stage.gateway.cancel_job(deal.key()).await?;
    let job = stage.follow_to_end(deal.key()).await?;
    ensure!(job.state == JobState::Canceled, "the job ended {:?}", job.state);
    stage.gateway.cancel_job(deal.key()).await.context("giving up twice")?;
    for _ in 0..2 {
        stage.pay(&deal).await?;
        stage.expect_money_back(&deal, JobState::Canceled, "canceled").await?;
    }
    Ok(())
}

/// Pay, then cancel while the model runs: the money comes back at once, and an answer that comes later is dropped.
pub async fn giving_up_while_the_model_runs(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote().await?;
    stage.hang(Service::ModelServing)?;
    stage.pay(&deal).await?;
    stage.follow_to(deal.key(), JobState::Running).await?;
    stage.gateway.cancel_job(deal.key()).await?;
    // Before the model answers: releasing waits for nobody.
    stage.expect_money_back(&deal, JobState::Canceled, "canceled").await?;
    stage.resume(Service::ModelServing)?;
    let next = stage.buy().await?;
    stage.expect_settled(&next).await?;
    // By now the late answer has come, too.
    let job = stage.job(deal.key()).await?;
    ensure!(job.state == JobState::Canceled, "the late answer has made the job {:?}", job.state);
    stage.check_payment_failed(&stage.buyer, deal.purchase.payment_hash).await?;
    stage.check_no_answer(&deal).await?;
    stage.check_postings(&deal, &[]).await
}

/// The money is locked, the payer's node goes away and comes back after the end: it has paid, and learns it then.
pub async fn a_payer_that_dies_while_its_money_is_held(stage: &Stage) -> anyhow::Result<()> {
    let payer = stage.new_payer("mortal").await?;
    let deal = stage.quote().await?;
    stage.hang(Service::ModelServing)?;
    let price = deal.purchase.quote.price_msat;
    ensure!(payer.pay(&deal.purchase.bolt11, price).await?, "a new node has not paid before");
    stage.follow_to(deal.key(), JobState::Running).await?;
    payer.stop().await?;
    stage.resume(Service::ModelServing)?;
    let job = stage.follow_to_end(deal.key()).await?;
    ensure!(job.state == JobState::Settled, "the job ended {:?} ({})", job.state, job.release_reason);
    stage.paid_by_another(price.msat());
    let payer = stage.payer_again("mortal").await?;
    match payer.wait_payment(deal.purchase.payment_hash, PATIENCE).await? {
        PaymentOutcome::Succeeded { .. } => {}
        PaymentOutcome::Failed { reason } => bail!("settled, and the payer's node says: {reason}"),
    }
    stage.gateway.result(deal.key()).await.context("the answer")?;
    stage.check_receipt_logged(&deal).await?;
    Ok(payer.stop().await?)
}

/// A settled job cannot be given up.
pub async fn giving_up_too_late(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.buy().await?;
    stage.expect_settled(&deal).await?;
    match stage.gateway.cancel_job(deal.key()).await {
        Err(error) if error.reason() == Some(ErrorReason::InvalidState) => {}
        Err(error) => return Err(error).context("another error than INVALID_STATE"),
        Ok(job) => bail!("a settled job was given up: {:?}", job.state),
    }
    stage.expect_settled(&deal).await.map(drop)
}

/// Pay late: nobody takes the money, and the quote cannot be used again.
pub async fn after_the_quote_has_ended(stage: &Stage) -> anyhow::Result<()> {
    stage.reconfigure(Service::Gateway, &[("quote_expiry", "2s".into())]).await?;
    let deal = stage.quote().await?;
    let job = stage.follow_to_end(deal.key()).await?;
    ensure!(
        (job.state, job.release_reason.as_str()) == (JobState::Expired, "quote_expired"),
        "the job ended {:?} ({})",
        job.state,
        job.release_reason
    );
    ensure!(clock::now_s() >= deal.purchase.quote.expiry_unix_s, "the quote has ended before its time");
    // The buyer's own node knows better than to pay an invoice that has ended, so it is told that there is time.
    refused_by_the_seller(stage, &deal, deal.price_msat()).await.context("after the end")?;
    stage.check_no_answer(&deal).await?;
    stage.check_postings(&deal, &[]).await?;
    // The same request answers the same quote for ever, or says that it has ended; never a fresh one.
    match stage.gateway.create_quote(&deal.order).await {
        Ok(offer) => ensure!(offer == deal.offer, "the same request has made another quote"),
        Err(error) => {
            ensure!(
                error.reason() == Some(ErrorReason::QuoteExpired),
                "another error than QUOTE_EXPIRED: {error}"
            );
        }
    }
    let invoice = stage.payment.hold_invoice(deal.invoice_id()).await?;
    use HoldInvoiceState::{Expired, Released};
    ensure!([Expired, Released].contains(&invoice.state), "the invoice is {:?}", invoice.state);
    Ok(())
}

/// Paid in time, but the gateway learns of it after the quote has ended: neither answer nor loss.
pub async fn in_time_while_the_gateway_is_down_too_long(stage: &Stage) -> anyhow::Result<()> {
    let expiry = format!("{}s", SHORT_QUOTE.as_secs());
    stage.reconfigure(Service::Gateway, &[("quote_expiry", expiry.into())]).await?;
    let deal = stage.quote().await?;
    stage.kill(Service::Gateway).await?;
    stage.pay(&deal).await?;
    wait::until("the payment service holds the money", PATIENCE, || async {
        let invoice = stage.payment.hold_invoice(deal.invoice_id()).await?;
        Ok(invoice.state == HoldInvoiceState::Accepted)
    })
    .await?;
    wait::until("the quote has ended", PATIENCE, || async {
        Ok(clock::now_s() > deal.purchase.quote.expiry_unix_s)
    })
    .await?;
    stage.restart(Service::Gateway).await?;
    stage.expect_money_back(&deal, JobState::Expired, "quote_expired").await.map(drop)
}

/// A payment that the stranger's node either does not send or gets back.
async fn pay_in_vain(stage: &Stage, bolt11: &str, price: AmountMsat) -> anyhow::Result<()> {
    match stage.stranger.pay(bolt11, price).await {
        Ok(sent) => ensure!(sent, "the stranger's node says that it has paid this"),
        Err(error) => bail!("the stranger's node does not try: {error}"),
    }
    Ok(())
}

/// The buyer sends so much to the seller's node, whatever was agreed and however late it is, and has it back because the
/// seller's node says no.
async fn refused_by_the_seller(stage: &Stage, deal: &Deal, amount_msat: u64) -> anyhow::Result<()> {
    let sent = stage.buyer.pay_unchecked(forged(&deal.purchase.bolt11, amount_msat)?).await?;
    ensure!(sent, "the buyer's node says that it has paid this before");
    match stage.buyer.wait_payment(deal.purchase.payment_hash, PATIENCE).await? {
        PaymentOutcome::Failed { reason } => {
            ensure!(reason == "recipient_rejected", "it did not reach the seller's node: {reason}");
        }
        PaymentOutcome::Succeeded { .. } => bail!("the seller has taken it"),
    }
    stage.check_outbound(deal.before_msat).await
}
