//! One purchase: quote, check, pay, follow, check.

use std::time::Duration;

use ailayer_client::gateway::{Answer, Job, JobKey, JobState, Offer, Order};
use ailayer_client::purchase::{Purchase, Terms, check_answer, check_offer};
use ailayer_client::{CallError, GatewayClient};
use ailayer_payer::{Payer, PaymentOutcome};
use ailayer_platform::clock;
use ailayer_receipt::Receipt;
use futures::StreamExt as _;

use crate::exit::{Exit, Failure, chain};

/// The pause before an interrupted stream is opened again.
pub(super) const RECONNECT: Duration = Duration::from_millis(500);
/// How long the gateway may be gone before the buyer gives up following; the money is safe either way.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// How long the payer's node may take to learn what the gateway already says.
const PAYMENT_END: Duration = Duration::from_secs(30);

/// A bought and checked answer.
#[derive(Debug)]
pub struct Bought {
    /// The receipt, opened with the seller's key and checked against the quote.
    pub receipt: Receipt,
    /// Its exact text.
    pub receipt_text: String,
    /// The answer the receipt commits to.
    pub answer: Answer,
    /// Routing fees, millisatoshi.
    pub fee_msat: u64,
}

/// How a paid job ended.
#[derive(Debug)]
pub enum Ended {
    /// The answer is there and the seller has the money.
    Bought(Box<Bought>),
    /// The money is back, as the buyer's own node reports.
    Released {
        /// The job's last state.
        state: JobState,
        /// The gateway's word for why.
        reason: String,
    },
}

/// Asks for a quote and checks every commitment in it.
pub async fn quote(
    gateway: &GatewayClient,
    order: &Order,
    terms: &Terms,
) -> Result<(Offer, Purchase), Failure> {
    let offer = gateway.create_quote(order).await?;
    let purchase = check_offer(order, terms, &offer, clock::now_s())
        .map_err(|error| Failure::new(Exit::Verification, format_args!("not paying: {error}")))?;
    Ok((offer, purchase))
}

/// Locks the money. Repeating it for the same purchase pays once.
pub async fn pay(payer: &Payer, purchase: &Purchase) -> Result<(), Failure> {
    let sent = payer.pay(&purchase.bolt11, purchase.quote.price_msat).await;
    sent.map(drop).map_err(|error| Failure::new(Exit::Payment, chain(&error)))
}

/// What a payment that went through left.
pub(super) struct Paid {
    /// Routing fees, millisatoshi.
    pub fee_msat: u64,
    /// The proof of payment, if the wallet still knows it.
    pub preimage: Option<[u8; 32]>,
}

/// Follows the job to its end, through restarts of the gateway, and checks what was delivered.
pub async fn follow(
    gateway: &GatewayClient,
    payer: &Payer,
    key: &JobKey,
    purchase: &Purchase,
) -> Result<Ended, Failure> {
    let paid = match end(gateway, payer, key, purchase).await? {
        Ok(paid) => paid,
        Err(released) => return Ok(released),
    };
    let receipt_text = gateway.receipt(key).await?.receipt;
    let answer = gateway.result(key).await?;
    let receipt = check_answer(purchase, &receipt_text, &answer).map_err(|error| {
        Failure::new(Exit::Verification, format_args!("the answer is not what was bought: {error}"))
    })?;
    Ok(Ended::Bought(Box::new(Bought { receipt, receipt_text, answer, fee_msat: paid.fee_msat })))
}

/// Waits for the end of the job and of its payment: paid, or the money back.
pub(super) async fn end(
    gateway: &GatewayClient,
    payer: &Payer,
    key: &JobKey,
    purchase: &Purchase,
) -> Result<Result<Paid, Ended>, Failure> {
    let job = watch_to_end(gateway, key).await?;
    // The payer's own node has the last word on the payer's money.
    let outcome = payer.wait_payment(purchase.payment_hash, PAYMENT_END).await;
    let outcome = outcome.map_err(|error| Failure::new(Exit::Unavailable, chain(&error)))?;
    match (job.state, outcome) {
        (JobState::Settled, PaymentOutcome::Succeeded { fee_msat, preimage }) => {
            Ok(Ok(Paid { fee_msat, preimage }))
        }
        (state, PaymentOutcome::Failed { .. }) => {
            Ok(Err(Ended::Released { state, reason: job.release_reason }))
        }
        (state, outcome @ PaymentOutcome::Succeeded { .. }) => Err(Failure::new(
            Exit::Verification,
            format_args!(
                "the job ended {state:?} but the payment {outcome:?}: keep the job file and ask the seller"
            ),
        )),
    }
}

async fn watch_to_end(gateway: &GatewayClient, key: &JobKey) -> Result<Job, Failure> {
    let watched = tokio::time::timeout(PATIENCE, async {
        loop {
            match watch_once(gateway, key).await {
                Ok(Some(job)) => return Ok(job),
                Err(error) if !error.is_transient() => return Err(Failure::from(error)),
                Ok(None) | Err(_) => tokio::time::sleep(RECONNECT).await,
            }
        }
    });
    watched.await.map_err(|_| {
        Failure::new(Exit::Unavailable, "the job did not end in time: repeat with the same --request-id")
    })?
}

/// One stream: the job's end, or `None` if the stream broke off before.
async fn watch_once(gateway: &GatewayClient, key: &JobKey) -> Result<Option<Job>, CallError> {
    let mut jobs = gateway.watch_job(key).await?;
    while let Some(job) = jobs.next().await {
        let job = job?;
        if job.is_ended() {
            return Ok(Some(job));
        }
    }
    Ok(None)
}
