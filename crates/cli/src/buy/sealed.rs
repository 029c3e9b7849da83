//! A sealed answer: take the ciphertext, check it, keep it, acknowledge it; open it once the payment is through.

use std::path::{Path, PathBuf};

use ailayer_client::gateway::JobKey;
use ailayer_client::purchase::{Purchase, check_sealed, open_sealed};
use ailayer_client::{CallError, ErrorReason, GatewayClient};
use ailayer_payer::{Payer, PaymentOutcome};
use ailayer_primitives::{Digest, Preimage, RequestId};
use ailayer_seal::{PublicKey, SecretKey};
use futures::StreamExt as _;

use super::keep;
use super::purchase::{Bought, Ended, PATIENCE, Paid, RECONNECT, end};
use crate::exit::{Exit, Failure};
use crate::output::Output;

/// The buyer's side of one sealed answer.
pub struct Seal {
    secret: SecretKey,
    folder: PathBuf,
}

/// What was delivered, checked.
struct Delivery {
    receipt: String,
    ciphertext: Vec<u8>,
}

impl Seal {
    /// The ephemeral key of a request: the one that is kept, or a fresh one, kept durably before it is used.
    pub fn of_request(folder: &Path, request_id: RequestId) -> Result<Self, Failure> {
        Ok(Self { secret: keep::seal_key(folder, request_id)?, folder: folder.to_owned() })
    }

    /// The ephemeral key that is kept of a request.
    pub fn kept(folder: &Path, request_id: RequestId) -> Result<Self, Failure> {
        Ok(Self { secret: keep::kept_seal_key(folder, request_id)?, folder: folder.to_owned() })
    }

    /// What the answer is sealed to.
    pub fn public_key(&self) -> PublicKey {
        self.secret.public_key()
    }

    /// Follows a paid job to its end, acknowledges its answer on the way, and opens it.
    pub async fn follow(
        &self,
        gateway: &GatewayClient,
        payer: &Payer,
        key: &JobKey,
        purchase: &Purchase,
        out: &Output,
    ) -> Result<Ended, Failure> {
        let delivery = self.take_delivery(gateway, key, purchase, out).await?;
        let (paid, delivery) = match (end(gateway, payer, key, purchase).await?, delivery) {
            (Ok(paid), Some(delivery)) => (paid, delivery),
            (Ok(_), None) => {
                let what = "the seller took the money without delivering: keep the job file and its receipt";
                return Err(Failure::new(Exit::Verification, what));
            }
            (Err(released), _) => return Ok(released),
        };
        self.open(purchase, delivery, &paid).map(Ended::Bought)
    }

    /// Opens what was kept before, if the wallet knows the preimage: no seller is needed any more.
    pub fn open_kept(&self, payer: &Payer, purchase: &Purchase) -> Result<Option<Box<Bought>>, Failure> {
        let Some((receipt, ciphertext)) = keep::delivery(&self.folder, purchase.job_id())? else {
            return Ok(None);
        };
        match payer.outcome(purchase.payment_hash) {
            Some(PaymentOutcome::Succeeded { preimage: preimage @ Some(_), fee_msat }) => {
                let paid = Paid { fee_msat, preimage };
                self.open(purchase, Delivery { receipt, ciphertext }, &paid).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn open(&self, purchase: &Purchase, delivery: Delivery, paid: &Paid) -> Result<Box<Bought>, Failure> {
        let preimage = paid.preimage.map(Preimage::new);
        let preimage = preimage.ok_or_else(|| {
            Failure::new(Exit::Unavailable, "your wallet does not know the payment's preimage yet: try again")
        })?;
        let Delivery { receipt, ciphertext } = delivery;
        let opened = open_sealed(purchase, &receipt, &ciphertext, &self.secret, &preimage);
        let (receipt_opened, answer) = opened.map_err(|error| {
            Failure::new(Exit::Verification, format_args!("the answer is not what was bought: {error}"))
        })?;
        let fee_msat = paid.fee_msat;
        Ok(Box::new(Bought { receipt: receipt_opened, receipt_text: receipt, answer, fee_msat }))
    }

    /// Waits for the ciphertext, checks it, keeps it durably, acknowledges it. Nothing when the job ends without one.
    async fn take_delivery(
        &self,
        gateway: &GatewayClient,
        key: &JobKey,
        purchase: &Purchase,
        out: &Output,
    ) -> Result<Option<Delivery>, Failure> {
        let Some(ciphertext) = patiently(|| delivered(gateway, key)).await?.flatten() else {
            return Ok(None);
        };
        let receipt = patiently(|| async { gateway.receipt(key).await.map(Some) }).await?;
        let receipt = receipt.map(|status| status.receipt).unwrap_or_default();
        check_sealed(purchase, &receipt, &ciphertext).map_err(|error| {
            let what = format_args!("not acknowledging, your money comes back: {error}");
            Failure::new(Exit::Verification, what)
        })?;
        keep::receipt(&self.folder, key.job_id, &receipt)?;
        keep::ciphertext(&self.folder, key.job_id, &ciphertext)?;
        let digest = Digest::sha256(&ciphertext);
        let acknowledged = patiently(|| async {
            match gateway.acknowledge_result(key, digest).await {
                Err(error) if error.reason() == Some(ErrorReason::InvalidState) => Ok(Some(false)),
                answer => answer.map(|_| Some(true)),
            }
        });
        out.progress(match acknowledged.await? {
            Some(true) => "sealed answer delivered, checked against its receipt and acknowledged",
            // The job's end tells what became of the money.
            _ => "sealed answer delivered, too late to be acknowledged",
        });
        Ok(Some(Delivery { receipt, ciphertext }))
    }
}

/// The ciphertext as soon as it can be fetched, or that there is none; `None` if the stream broke off before.
async fn delivered(gateway: &GatewayClient, key: &JobKey) -> Result<Option<Option<Vec<u8>>>, CallError> {
    let mut jobs = gateway.watch_job(key).await?;
    while let Some(job) = jobs.next().await {
        let job = job?;
        match gateway.sealed_result(key).await {
            Ok(ciphertext) => return Ok(Some(Some(ciphertext))),
            Err(error) if error.reason() == Some(ErrorReason::ResultNotReady) => {
                if job.is_ended() {
                    return Ok(Some(None));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Tries again, through restarts of the gateway, while there is no answer.
async fn patiently<T, F>(call: impl Fn() -> F) -> Result<Option<T>, Failure>
where
    F: Future<Output = Result<Option<T>, CallError>>,
{
    let tried = tokio::time::timeout(PATIENCE, async {
        loop {
            match call().await {
                Ok(Some(answer)) => return Ok(Some(answer)),
                Err(error) if !error.is_transient() => return Err(Failure::from(error)),
                Ok(None) | Err(_) => tokio::time::sleep(RECONNECT).await,
            }
        }
    });
    let late = "the seller did not deliver in time: go on with `ailayer fetch` and the job file";
    tried.await.map_err(|_| Failure::new(Exit::Unavailable, late))?
}
