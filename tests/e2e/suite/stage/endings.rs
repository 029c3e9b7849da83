//! The endings a paid job may have. Everything is looked at where it counts: money at the payer's own node, the answer
//! and its receipt with the buyer's checks, statements in the audit log, postings in the books.

use std::time::Duration;

use ailayer_client::ErrorReason;
use ailayer_client::account::Deposit;
use ailayer_client::gateway::{Answer, Job, JobState};
use ailayer_client::payment::HoldInvoiceState;
use ailayer_client::purchase::{check_answer, check_receipt, open_sealed};
use ailayer_payer::{Payer, PaymentOutcome};
use ailayer_primitives::{PaymentHash, Preimage};
use ailayer_receipt::{Closing, Envelope, Outcome, Receipt};
use ailayer_seal::{ResultKey, SecretKey};
use anyhow::{Context as _, bail, ensure};

use super::purchase::Deal;
use super::{PATIENCE, Stage, wait};

/// How long the payer's node may take to learn what the gateway already says.
const PAYMENT_END: Duration = Duration::from_secs(30);
/// Blocks after which a closed channel has no open questions: six for the closing transaction, and some to get there.
const RESOLUTION_BLOCKS: u32 = 20;

/// What a settled job brought.
#[derive(Debug)]
pub struct Settled {
    /// The job's last state.
    pub job: Job,
    /// What the seller signed.
    pub receipt: Receipt,
    /// What was bought.
    pub answer: Answer,
}

/// One of the two endings that MONEY's order of writes leaves to a paid job.
#[derive(Debug)]
pub enum Ending {
    /// Answer for money.
    Settled(Box<Settled>),
    /// Neither.
    MoneyBack(Job),
}

impl Stage {
    /// Follows a paid job to its end, which must be one of the two, and checks every side of it.
    pub async fn ending(&self, deal: &Deal) -> anyhow::Result<Ending> {
        let job = self.follow_to_end(deal.key()).await?;
        match job.state {
            JobState::Settled => Ok(Ending::Settled(Box::new(self.check_settled(deal, job).await?))),
            JobState::Failed | JobState::Canceled | JobState::Expired => {
                self.check_money_back(deal, &job).await?;
                Ok(Ending::MoneyBack(job))
            }
            state => bail!("the job ended {state:?} ({})", job.release_reason),
        }
    }

    /// The job must settle.
    pub async fn expect_settled(&self, deal: &Deal) -> anyhow::Result<Settled> {
        match self.ending(deal).await? {
            Ending::Settled(settled) => Ok(*settled),
            Ending::MoneyBack(job) => bail!("money back, {:?} ({})", job.state, job.release_reason),
        }
    }

    /// The money must come back, for this reason.
    pub async fn expect_money_back(&self, deal: &Deal, state: JobState, reason: &str) -> anyhow::Result<Job> {
        match self.ending(deal).await? {
            Ending::MoneyBack(job) if (job.state, job.release_reason.as_str()) == (state, reason) => Ok(job),
            Ending::MoneyBack(job) => {
                bail!(
                    "money back, but {:?} ({}) instead of {state:?} ({reason})",
                    job.state,
                    job.release_reason
                )
            }
            Ending::Settled(_) => bail!("the job settled instead of giving the money back"),
        }
    }

    /// Served, logged, and not paid: the payer has the money, the loss is in the books.
    pub async fn expect_lost(&self, deal: &Deal) -> anyhow::Result<()> {
        let job = self.follow_to_end(deal.key()).await?;
        ensure!(job.state == JobState::Lost, "the job ended {:?} ({})", job.state, job.release_reason);
        self.check_payment_failed(&self.buyer, deal.purchase.payment_hash).await?;
        self.check_outbound(deal.before_msat).await?;
        self.check_closing(deal, Outcome::Lost, deal.price_msat()).await?;
        let price = i64::try_from(deal.price_msat())?;
        self.check_postings(deal, &[("expense:write_off", price), ("revenue:inference", -price)]).await
    }

    /// The ending of a job whose channel was closed on the way.
    ///
    /// A node that is killed between writing a channel's monitor and its manager closes that channel at its next start
    /// (LDK knows no other way), and an amount as small as a price here has no output of its own in the closing
    /// transaction. So the payer's node may say "failed" for a job that was rightly settled: the seller's loss.
    /// Never the other way round. Answers the job's last state; whether that one is right, the scenario knows.
    pub async fn ending_of_closed_channel(&self, deal: &Deal) -> anyhow::Result<JobState> {
        let job = self.follow_to_end(deal.key()).await?;
        let outcome = self.outcome_of_closed_channel(deal.purchase.payment_hash).await?;
        let state = job.state;
        self.note(format!("the node closed its channel; job {state:?}, payer {outcome:?}"));
        match (state, &outcome) {
            (JobState::Settled, _) => {
                let (paid, unpaid) = match outcome {
                    PaymentOutcome::Succeeded { .. } => (deal.price_msat(), 0),
                    PaymentOutcome::Failed { .. } => (0, deal.price_msat()),
                };
                self.channel_closed(deal.before_msat, paid, unpaid);
                self.check_delivered(deal, job).await?;
            }
            (_, PaymentOutcome::Succeeded { .. }) => bail!("paid, and the job ended {state:?}"),
            (_, PaymentOutcome::Failed { .. }) => {
                self.channel_closed(deal.before_msat, 0, 0);
                self.check_no_answer(deal).await?;
            }
        }
        Ok(state)
    }

    /// The same of a deposit that was credited.
    pub async fn deposit_of_closed_channel(&self, deposit: &Deposit, before_msat: u64) -> anyhow::Result<()> {
        let outcome = self.outcome_of_closed_channel(Payer::payment_hash(&deposit.bolt11)?).await?;
        self.note(format!("the node closed its channel; deposit credited, payer {outcome:?}"));
        match outcome {
            PaymentOutcome::Succeeded { .. } => self.channel_closed(before_msat, deposit.amount_msat, 0),
            PaymentOutcome::Failed { .. } => self.channel_closed(before_msat, 0, deposit.amount_msat),
        }
        Ok(())
    }

    /// What the payer's node says once the chain has decided.
    async fn outcome_of_closed_channel(&self, payment_hash: PaymentHash) -> anyhow::Result<PaymentOutcome> {
        let mut blocks = 0;
        loop {
            if let Some(outcome) = self.buyer.outcome(payment_hash) {
                return Ok(outcome);
            }
            ensure!(blocks < RESOLUTION_BLOCKS, "the payer's node knows no end after {blocks} blocks");
            self.mine(1).await?;
            blocks += 1;
        }
    }

    fn channel_closed(&self, before_msat: u64, paid_msat: u64, unpaid_msat: u64) {
        let mut account = self.account();
        account.last_msat = before_msat - paid_msat;
        account.unpaid_msat += unpaid_msat;
    }

    async fn check_settled(&self, deal: &Deal, job: Job) -> anyhow::Result<Settled> {
        let fee_msat = self.check_payment_succeeded(deal.purchase.payment_hash).await?;
        self.check_outbound(deal.before_msat - deal.price_msat() - fee_msat).await?;
        self.check_delivered(deal, job).await
    }

    /// Answer, receipt, closing entry, books: everything but the payer's node.
    async fn check_delivered(&self, deal: &Deal, job: Job) -> anyhow::Result<Settled> {
        ensure!(job.price == deal.purchase.quote.price_msat, "the job's price has changed to {}", job.price);
        let status =
            wait::answered(PATIENCE, || self.gateway.receipt(deal.key())).await.context("receipt")?;
        let (receipt, answer) = match &deal.seal {
            Some(secret) => self.open(deal, secret, &status.receipt).await.context("sealed answer")?,
            None => {
                let answer = wait::answered(PATIENCE, || self.gateway.result(deal.key())).await;
                let answer = answer.context("answer")?;
                (check_answer(&deal.purchase, &status.receipt, &answer)?, answer)
            }
        };
        ensure!(receipt.price_msat == deal.purchase.quote.price_msat, "the receipt is about another price");
        ensure!(
            answer.delivered.rows() == deal.order.task.texts().len(),
            "another number of rows than texts"
        );
        self.check_closing(deal, Outcome::Settled, deal.price_msat()).await?;
        self.check_invoice(deal, &[HoldInvoiceState::Claimed]).await?;
        let price = i64::try_from(deal.price_msat())?;
        self.check_postings(deal, &[("asset:lightning", price), ("revenue:inference", -price)]).await?;
        Ok(Settled { job, receipt, answer })
    }

    /// Opens a sealed answer with what the buyer's own node knows.
    async fn open(
        &self,
        deal: &Deal,
        secret: &SecretKey,
        receipt: &str,
    ) -> anyhow::Result<(Receipt, Answer)> {
        let ciphertext = wait::answered(PATIENCE, || self.gateway.sealed_result(deal.key())).await?;
        let preimage = self.preimage(deal)?;
        if let Some(seal) = deal.purchase.quote.seal {
            let shared = secret.agree(&seal.gateway_key);
            let key = ResultKey::derive(&preimage, &shared, deal.key().job_id);
            for (what, bytes) in [("shared secret", shared.expose()), ("result key", key.expose())] {
                self.keep_secret(format!("{what} of job {}", deal.key().job_id), hex::encode(bytes));
                // As a message is printed by careless code.
                self.keep_secret(format!("{what} of job {}", deal.key().job_id), format!("{bytes:?}"));
            }
        }
        Ok(open_sealed(&deal.purchase, receipt, &ciphertext, secret, &preimage)?)
    }

    /// The proof of payment, as the buyer's own node knows it.
    pub fn preimage(&self, deal: &Deal) -> anyhow::Result<Preimage> {
        match self.buyer.outcome(deal.purchase.payment_hash) {
            Some(PaymentOutcome::Succeeded { preimage: Some(preimage), .. }) => Ok(Preimage::new(preimage)),
            outcome => bail!("the buyer's node knows no preimage: {outcome:?}"),
        }
    }

    async fn check_money_back(&self, deal: &Deal, job: &Job) -> anyhow::Result<()> {
        ensure!(!job.release_reason.is_empty(), "the gateway does not say why");
        self.check_payment_failed(&self.buyer, deal.purchase.payment_hash).await?;
        self.check_outbound(deal.before_msat).await?;
        self.check_no_answer(deal).await?;
        use HoldInvoiceState::{Expired, ReleaseRequested, Released};
        self.check_invoice(deal, &[Released, ReleaseRequested, Expired]).await?;
        self.check_postings(deal, &[]).await?;
        // A receipt that was logged says "claim authorised": then its end must be logged too.
        match wait::answered(PATIENCE, || self.gateway.receipt(deal.key())).await {
            Ok(status) => {
                check_receipt(&deal.purchase, &status.receipt)?;
                self.check_closing(deal, Outcome::Voided, 0).await
            }
            Err(error) if error.reason() == Some(ErrorReason::ResultNotReady) => Ok(()),
            Err(error) => Err(error).context("receipt"),
        }
    }

    /// The seller keeps an answer that was not paid for.
    pub async fn check_no_answer(&self, deal: &Deal) -> anyhow::Result<()> {
        match wait::answered(PATIENCE, || self.gateway.result(deal.key())).await {
            Err(error) if error.reason() == Some(ErrorReason::ResultNotReady) => Ok(()),
            Err(error) => Err(error).context("another error than RESULT_NOT_READY"),
            Ok(_) => bail!("the answer was given out without payment"),
        }
    }

    /// The payer's node must say that the money went; answers the fee.
    async fn check_payment_succeeded(&self, payment_hash: PaymentHash) -> anyhow::Result<u64> {
        match self.buyer.wait_payment(payment_hash, PAYMENT_END).await? {
            PaymentOutcome::Succeeded { preimage, fee_msat } => {
                if let Some(preimage) = preimage {
                    ensure!(Preimage::new(preimage).payment_hash() == payment_hash, "not the preimage");
                    self.keep_secret(format!("preimage of {payment_hash}"), hex::encode(preimage));
                }
                Ok(fee_msat)
            }
            PaymentOutcome::Failed { reason } => {
                bail!("the payer's node says that the payment failed: {reason}")
            }
        }
    }

    /// A payer's node must say that the payment failed.
    pub async fn check_payment_failed(&self, payer: &Payer, payment_hash: PaymentHash) -> anyhow::Result<()> {
        match payer.wait_payment(payment_hash, PAYMENT_END).await? {
            PaymentOutcome::Failed { .. } => Ok(()),
            PaymentOutcome::Succeeded { .. } => bail!("the payer's node says that the money went"),
        }
    }

    /// What the buyer can send must become exactly this.
    pub async fn check_outbound(&self, expected_msat: u64) -> anyhow::Result<()> {
        self.check_outbound_of(&self.buyer, expected_msat).await
    }

    /// What a payer can send must become exactly this.
    pub async fn check_outbound_of(&self, payer: &Payer, expected_msat: u64) -> anyhow::Result<()> {
        wait::found("the payer's balance", PAYMENT_END, || async {
            let found = self.outbound_msat(payer).await?;
            ensure!(
                found == expected_msat,
                "the payer can send {found} msat instead of {expected_msat} msat"
            );
            Ok(())
        })
        .await
    }

    /// Receipt and closing entry must be in the audit log, exactly as the gateway shows them, and belong together.
    async fn check_closing(&self, deal: &Deal, outcome: Outcome, amount_msat: u64) -> anyhow::Result<()> {
        let status = wait::found("the closing entry", PATIENCE, || async {
            let status = self.gateway.receipt(deal.key()).await?;
            ensure!(status.closing.is_some(), "there is none");
            Ok(status)
        })
        .await?;
        let receipt = Envelope::parse(&status.receipt)?;
        let envelope = Envelope::parse(status.closing.as_deref().unwrap_or_default())?;
        let closing: Closing = envelope.open(&self.seller.gateway_key)?;
        ensure!(closing.outcome == outcome, "the closing entry says {}, not {outcome}", closing.outcome);
        ensure!(closing.job_id == deal.key().job_id, "the closing entry is about another job");
        ensure!(closing.amount_msat.msat() == amount_msat, "the closing entry says {}", closing.amount_msat);
        ensure!(
            closing.receipt_leaf_hash == receipt.leaf_hash(),
            "the closing entry is about another receipt"
        );
        self.check_logged("closing entry", &envelope).await?;
        // A receipt whose log was away in time has an ending all the same.
        if outcome == Outcome::Voided { Ok(()) } else { self.check_logged("receipt", &receipt).await }
    }

    /// The audit log must hold an entry, to the last byte.
    pub async fn check_logged(&self, what: &str, entry: &Envelope) -> anyhow::Result<()> {
        wait::found("an entry in the audit log", PATIENCE, || async {
            let logged = self.audit.entry(entry.leaf_hash()).await.with_context(|| format!("the {what}"))?;
            ensure!(logged == entry.as_str().as_bytes(), "the log holds another {what}");
            Ok(())
        })
        .await
    }

    /// The receipt of a job must be in the audit log.
    pub async fn check_receipt_logged(&self, deal: &Deal) -> anyhow::Result<()> {
        let status =
            wait::answered(PATIENCE, || self.gateway.receipt(deal.key())).await.context("receipt")?;
        self.check_logged("receipt", &Envelope::parse(&status.receipt)?).await
    }

    async fn check_invoice(&self, deal: &Deal, states: &[HoldInvoiceState]) -> anyhow::Result<()> {
        let invoice = wait::answered(PATIENCE, || self.payment.hold_invoice(deal.invoice_id())).await?;
        ensure!(states.contains(&invoice.state), "the hold invoice is {:?}", invoice.state);
        Ok(())
    }
}
