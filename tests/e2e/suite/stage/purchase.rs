//! Quote, pay, follow: what a buyer does.

use std::time::Duration;

use ailayer_client::gateway::{Job, JobKey, JobState, Offer, Order, Task};
use ailayer_client::purchase::{Purchase, Terms, check_offer, check_sealed};
use ailayer_payer::Payer;
use ailayer_platform::clock;
use ailayer_primitives::{AmountMsat, Digest, RequestId};
use ailayer_seal::SecretKey;
use anyhow::{Context as _, bail, ensure};
use futures::StreamExt as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{MAX_PRICE_MSAT, MODEL, PATIENCE, PRICE_PER_CALL_MSAT, PRICE_PER_TOKEN_MSAT, Stage, wait};

/// How long a job may take to its end: the run limit, a restart, and a busy machine.
const JOB_END: Duration = Duration::from_secs(90);

/// A quote that was checked, and what the buyer had before paying it.
#[derive(Debug, Clone)]
pub struct Deal {
    /// What was asked for.
    pub order: Order,
    /// What was offered.
    pub offer: Offer,
    /// The checked offer.
    pub purchase: Purchase,
    /// What the buyer could send before.
    pub before_msat: u64,
    /// The buyer's ephemeral secret, of a sealed answer.
    pub seal: Option<SecretKey>,
}

impl Deal {
    /// Opens the job.
    pub const fn key(&self) -> &JobKey {
        &self.offer.key
    }

    /// The exact price.
    pub const fn price_msat(&self) -> u64 {
        self.purchase.quote.price_msat.msat()
    }

    /// The id of the job's hold invoice.
    pub fn invoice_id(&self) -> Uuid {
        self.offer.key.job_id.uuid()
    }
}

impl Stage {
    /// An order of its own for some texts.
    pub fn order(&self, texts: &[&str]) -> Order {
        Order {
            request_id: RequestId::new(Uuid::new_v4()),
            model_name: MODEL.to_owned(),
            model_version: String::new(),
            task: Task::embed(texts.iter().copied()),
            network: self.seller.network,
            sealed_to: None,
        }
    }

    /// What a careful buyer insists on.
    pub fn terms(&self) -> anyhow::Result<Terms> {
        Ok(Terms {
            seller: self.seller.gateway_key,
            max_price: AmountMsat::try_new(MAX_PRICE_MSAT)?,
            model_digest: None,
            payee: Some(self.seller.node_id),
        })
    }

    /// A quote for one sentence.
    pub async fn quote(&self) -> anyhow::Result<Deal> {
        self.quote_for(self.order(&["money is locked, then taken or given back"])).await
    }

    /// A quote, checked as a buyer checks it; asked for again while the gateway is away.
    pub async fn quote_for(&self, order: Order) -> anyhow::Result<Deal> {
        let offer = wait::answered(PATIENCE, || self.gateway.create_quote(&order)).await.context("quote")?;
        self.deal(order, offer).await
    }

    /// A quote for one sentence, whose answer is to be sealed.
    pub async fn quote_sealed(&self) -> anyhow::Result<Deal> {
        let mut bytes = Zeroizing::new([0; 32]);
        bytes.iter_mut().zip(Uuid::new_v4().as_bytes()).for_each(|(to, from)| *to = *from);
        let secret = SecretKey::new(&bytes);
        let order = self.order(&["delivered first, paid second, read third"]);
        let order = Order { sealed_to: Some(secret.public_key()), ..order };
        Ok(Deal { seal: Some(secret), ..self.quote_for(order).await? })
    }

    /// Waits for the ciphertext of a paid job, and checks it as a buyer does before it is acknowledged.
    pub async fn take_ciphertext(&self, deal: &Deal) -> anyhow::Result<Vec<u8>> {
        let ciphertext = wait::found("the ciphertext", PATIENCE, || async {
            Ok(self.gateway.sealed_result(deal.key()).await?)
        })
        .await?;
        let receipt = wait::answered(PATIENCE, || self.gateway.receipt(deal.key())).await?.receipt;
        check_sealed(&deal.purchase, &receipt, &ciphertext)?;
        Ok(ciphertext)
    }

    /// Takes the ciphertext of a paid job and acknowledges it, once.
    pub async fn acknowledge(&self, deal: &Deal) -> anyhow::Result<()> {
        let digest = Digest::sha256(&self.take_ciphertext(deal).await?);
        self.gateway.acknowledge_result(deal.key(), digest).await?;
        Ok(())
    }

    /// Checks an offer.
    pub async fn deal(&self, order: Order, offer: Offer) -> anyhow::Result<Deal> {
        self.keep_secret(format!("token of job {}", offer.key.job_id), hex::encode(offer.key.token.expose()));
        let purchase = check_offer(&order, &self.terms()?, &offer, clock::now_s())?;
        let expected = PRICE_PER_CALL_MSAT + PRICE_PER_TOKEN_MSAT * offer.input_tokens;
        ensure!(offer.price.msat() == expected, "the price is {} instead of {expected} msat", offer.price);
        ensure!(purchase.quote.price_msat == offer.price, "the signed price is another one");
        let before_msat = self.outbound_msat(&self.buyer).await?;
        Ok(Deal { order, offer, purchase, before_msat, seal: None })
    }

    /// What a payer can send.
    pub async fn outbound_msat(&self, payer: &Payer) -> anyhow::Result<u64> {
        payer.wait_channel_usable(MAX_PRICE_MSAT, PATIENCE).await?;
        let outbound_msat = payer.balances().await?.outbound_msat;
        if std::ptr::eq(payer, &self.buyer) {
            self.account().last_msat = outbound_msat;
        }
        Ok(outbound_msat)
    }

    /// The buyer locks the money.
    pub async fn pay(&self, deal: &Deal) -> anyhow::Result<()> {
        let sent = self.buyer.pay(&deal.purchase.bolt11, deal.purchase.quote.price_msat).await?;
        ensure!(sent, "the buyer's node says that it has paid this before");
        Ok(())
    }

    /// Quotes and pays.
    pub async fn buy(&self) -> anyhow::Result<Deal> {
        let deal = self.quote().await?;
        self.pay(&deal).await?;
        Ok(deal)
    }

    /// Where a job stands now; asked again while the gateway is away.
    pub async fn job(&self, key: &JobKey) -> anyhow::Result<Job> {
        Ok(wait::answered(PATIENCE, || self.gateway.job(key)).await?)
    }

    /// Follows a job, through restarts of the gateway, until it is as wanted. Ends with an error when it ends before.
    pub async fn follow(
        &self,
        key: &JobKey,
        what: &str,
        wanted: impl Fn(&Job) -> bool,
    ) -> anyhow::Result<Job> {
        let mut last = None;
        let followed = tokio::time::timeout(JOB_END, async {
            loop {
                let mut jobs = wait::answered(JOB_END, || self.gateway.watch_job(key)).await?;
                while let Some(job) = jobs.next().await {
                    let job = match job {
                        Ok(job) => job,
                        Err(error) if error.is_transient() => break,
                        Err(error) => return Err(error.into()),
                    };
                    last = Some(job.state);
                    if wanted(&job) {
                        return Ok(job);
                    }
                    if job.is_ended() {
                        bail!("the job ended {:?} ({}) instead of {what}", job.state, job.release_reason);
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let outcome = followed.await;
        outcome.map_err(|_| anyhow::anyhow!("the job is {last:?} after {JOB_END:?} and not yet {what}"))?
    }

    /// Follows a job to its end.
    pub async fn follow_to_end(&self, key: &JobKey) -> anyhow::Result<Job> {
        self.follow(key, "ended", Job::is_ended).await
    }

    /// Waits until a job has reached a state, or gone past it, without having ended.
    pub async fn follow_to(&self, key: &JobKey, state: JobState) -> anyhow::Result<Job> {
        self.follow(key, state.as_str_name(), |job| job.state == state).await
    }
}
