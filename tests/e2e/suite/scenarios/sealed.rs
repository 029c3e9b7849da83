//! Sealed answers: delivered, acknowledged, paid, opened, in this order.

use std::time::Duration;

use ailayer_client::ErrorReason;
use ailayer_client::gateway::JobState;
use ailayer_client::payment::HoldInvoiceState;
use ailayer_client::purchase::open_sealed;
use ailayer_primitives::{Digest, Preimage};
use ailayer_receipt::bundle::Bundle;
use ailayer_receipt::verify::{KnownOutput, Trust, verify};
use ailayer_seal::{Context, ResultKey, SecretKey};
use anyhow::{Context as _, bail, ensure};
use zeroize::Zeroizing;

use crate::stage::Stage;
use crate::stage::purchase::Deal;
use crate::stage::services::Service;

/// Longer than a claim takes that does not wait.
const WITHOUT_A_CLAIM: Duration = Duration::from_secs(3);

/// The ciphertext comes first and opens to nobody; nothing is taken before it is acknowledged; then it opens to the buyer alone.
pub async fn a_sealed_answer_is_delivered_then_paid_then_opened(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.quote_sealed().await?;
    stage.pay(&deal).await?;
    let ciphertext = stage.take_ciphertext(&deal).await?;
    stage.check_receipt_logged(&deal).await?;

    tokio::time::sleep(WITHOUT_A_CLAIM).await;
    let (job, invoice) = (stage.job(deal.key()).await?, stage.payment.hold_invoice(deal.invoice_id()).await?);
    ensure!(job.state == JobState::Completed, "nobody has acknowledged, and the job is {:?}", job.state);
    ensure!(invoice.state == HoldInvoiceState::Accepted, "the invoice is {:?}", invoice.state);
    ensure!(stage.buyer.outcome(deal.purchase.payment_hash).is_none(), "the payment has ended");
    wrong_acknowledgements(stage, &deal).await?;

    let digest = Digest::sha256(&ciphertext);
    stage.gateway.acknowledge_result(deal.key(), digest).await?;
    let settled = stage.expect_settled(&deal).await?;
    ensure!(settled.receipt.sealed_digest == Some(digest), "the receipt is about another ciphertext");
    // Twice is as good as once, also afterwards.
    stage.gateway.acknowledge_result(deal.key(), digest).await.context("acknowledging twice")?;
    only_the_buyer_opens(stage, &deal, &ciphertext).await?;

    let bundle = Bundle::parse(stage.anchored(&deal).await?.as_bytes())?;
    let rows = settled.answer.delivered.vectors().into_iter().map(<[f32]>::to_vec).collect();
    let trust =
        Trust { output: Some(KnownOutput::Rows(rows)), sealed_digest: Some(digest), ..Trust::default() };
    let report = verify(&bundle, &trust)?;
    ensure!(report.quote.seal.is_some_and(|seal| Some(seal.buyer_key) == deal.order.sealed_to));
    Ok(())
}

async fn wrong_acknowledgements(stage: &Stage, deal: &Deal) -> anyhow::Result<()> {
    match stage.gateway.acknowledge_result(deal.key(), Digest::sha256(b"something else")).await {
        Err(error) if error.reason() == Some(ErrorReason::DigestMismatch) => {}
        other => bail!("another ciphertext was acknowledged: {other:?}"),
    }
    let clear = stage.quote().await?;
    match stage.gateway.acknowledge_result(clear.key(), Digest::sha256(b"")).await {
        Err(error) if error.reason() == Some(ErrorReason::InvalidState) => Ok(()),
        other => bail!("an answer in the clear was acknowledged: {other:?}"),
    }
}

/// A hop of the payment knows the preimage, and may know everything that is public or on the wire, and the job's token.
async fn only_the_buyer_opens(stage: &Stage, deal: &Deal, ciphertext: &[u8]) -> anyhow::Result<()> {
    let preimage = stage.preimage(deal)?;
    let receipt = stage.gateway.receipt(deal.key()).await?.receipt;
    let hop = SecretKey::new(&Zeroizing::new([7; 32]));
    let opened = open_sealed(&deal.purchase, &receipt, ciphertext, &hop, &preimage);
    ensure!(opened.is_err(), "it opens with another secret");
    // Past the polite checks: every agreement that a hop can make.
    let seal = deal.purchase.quote.seal.context("no seal")?;
    let receipt = ailayer_client::purchase::check_sealed(&deal.purchase, &receipt, ciphertext)?;
    let context = Context {
        job_id: receipt.job_id,
        attempt: receipt.attempt,
        quote_digest: receipt.quote_digest,
        output_digest: receipt.output_digest,
    };
    for public in [seal.buyer_key, seal.gateway_key] {
        let key = ResultKey::derive(&preimage, &hop.agree(&public), receipt.job_id);
        ensure!(key.open(&context, ciphertext).is_err(), "it opens to a hop");
    }
    // And the buyer without the preimage: as before paying.
    let secret = deal.seal.as_ref().context("no secret")?;
    let hash = Preimage::new(*deal.purchase.payment_hash.0.as_bytes());
    let key = ResultKey::derive(&hash, &secret.agree(&seal.gateway_key), receipt.job_id);
    ensure!(key.open(&context, ciphertext).is_err(), "it opens without the preimage");
    let key = ResultKey::derive(&preimage, &secret.agree(&seal.gateway_key), receipt.job_id);
    ensure!(key.open(&context, ciphertext).is_ok(), "it does not open to the buyer");
    Ok(())
}

/// The buyer has the ciphertext and says nothing: the money comes back, and the receipt is void.
pub async fn an_answer_that_is_never_acknowledged_costs_nothing(stage: &Stage) -> anyhow::Result<()> {
    stage.reconfigure(Service::Gateway, &[("acknowledge_timeout", "3s".into())]).await?;
    let deal = stage.quote_sealed().await?;
    stage.pay(&deal).await?;
    let ciphertext = stage.take_ciphertext(&deal).await?;
    stage.expect_money_back(&deal, JobState::Expired, "not_acknowledged").await?;
    stage.check_receipt_logged(&deal).await?;
    match stage.gateway.acknowledge_result(deal.key(), Digest::sha256(&ciphertext)).await {
        Err(error) if error.reason() == Some(ErrorReason::InvalidState) => Ok(()),
        other => bail!("acknowledged after the money went back: {other:?}"),
    }
}
