//! Making quotes: rows 1 and 2 of the order of durable writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ailayer_client::invoice::{Agreement, Invoice as SignedInvoice, InvoiceError};
use ailayer_client::payment::{HoldInvoiceState, Node};
use ailayer_client::serving::{EmbedCall, Model as Loaded};
use ailayer_client::{CallError, ErrorReason};
use ailayer_platform::blocking;
use ailayer_primitives::{AmountMsat, Digest, JobId, JobToken, Network, PaymentHash, UnixMs, UnixS};
use ailayer_receipt::EnvelopeError;
use ailayer_receipt::digest::DigestError;
use ailayer_receipt::statement::Model;
use ailayer_store::{Store, StoreError};
use thiserror::Error;
use uuid::Uuid;

use crate::admission::{Admission, AdmissionError, QuoteRefused};
use crate::brakes::{BrakeError, Brakes};
use crate::crash_points::{self, CrashPoints};
use crate::domain::brake::Brake;
use crate::domain::job::{Rail, State};
use crate::domain::keys::{Keys, token_hash};
use crate::domain::order::{JobInput, Order, OrderError, OrderLimits};
use crate::domain::payer::Payer;
use crate::domain::price::{Price, PriceError, Usage};
use crate::domain::statements::{QuoteFacts, sign_quote};
use crate::models::named;
use crate::ports::{Payments, Serving};
use crate::prices::Prices;
use crate::store::jobs::{self, NewJob};
use crate::store::{self, Invoice, JobRecord};

/// Why there is no quote. Unless it says otherwise, no invoice exists and no money can be lost.
#[derive(Debug, Error)]
pub enum QuoteError {
    /// The order breaks a rule.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// The same request id was used for another order.
    #[error("this request_id was used for another order")]
    RequestIdReused,
    /// The model has no price.
    #[error("model {0:?} is not for sale")]
    NotForSale(String),
    /// The model is not loaded.
    #[error("model {0:?} is not loaded in that version")]
    NotLoaded(String),
    /// The price is zero or impossible.
    #[error(transparent)]
    Price(#[from] PriceError),
    /// There is no room for another job.
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    /// The Lightning node cannot hold money now.
    #[error("the Lightning node is not in sync yet")]
    NotSynced,
    /// The quote ended before its invoice was made; use another request id.
    #[error("the quote ended before it could be paid; ask again under another request_id")]
    Ended,
    /// Model serving failed.
    #[error("model serving: {0}")]
    Serving(#[source] CallError),
    /// The payment service failed.
    #[error("payment: {0}")]
    Payment(#[source] CallError),
    /// The payment service made another invoice than was asked for.
    #[error("the payment service made a wrong invoice")]
    Invoice(#[from] InvoiceError),
    /// The quote cannot be written down.
    #[error("the quote cannot be signed")]
    Envelope(#[from] EnvelopeError),
    /// The input cannot be digested or stored.
    #[error("the input cannot be digested")]
    Digest(#[from] DigestError),
    /// The input cannot be stored.
    #[error("the input cannot be encoded")]
    Encode(#[from] serde_json::Error),
    /// An operator has stopped it.
    #[error(transparent)]
    Brake(#[from] BrakeError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What quotes are made by.
#[derive(Debug, Clone)]
pub struct QuoteSettings {
    /// The network money moves on.
    pub network: Network,
    /// The models for sale by the configuration.
    pub prices: HashMap<String, Price>,
    /// How long a quote may be paid; whole seconds.
    pub expiry: Duration,
    /// How much an order may carry.
    pub limits: OrderLimits,
}

/// A quote with its invoice.
#[derive(Debug, Clone)]
pub struct Quoted {
    /// The job.
    pub job_id: JobId,
    /// What opens it.
    pub token: JobToken,
    /// The exact text of the signed quote.
    pub quote: String,
    /// The exact price.
    pub price: AmountMsat,
    /// What it was made from.
    pub usage: Usage,
    /// The hold invoice.
    pub bolt11: String,
    /// Its payment hash.
    pub payment_hash: PaymentHash,
    /// When the quote ends.
    pub expiry: UnixS,
}

/// Makes quotes. Cloned freely.
#[derive(Clone)]
pub struct Quotes {
    /// The database.
    pub store: Store,
    /// Signing key and token key.
    pub keys: Keys,
    /// What quotes are made by.
    pub settings: Arc<QuoteSettings>,
    /// The prices in force.
    pub prices: Prices,
    /// What operators have stopped.
    pub brakes: Brakes,
    /// Whether there is room.
    pub admission: Admission,
    /// The Lightning node's keeper.
    pub payments: Arc<dyn Payments>,
    /// Counts tokens.
    pub serving: Arc<dyn Serving>,
    /// Where simulations halt.
    pub crash_points: CrashPoints,
}

/// Of everything that is asked, and of the input.
#[derive(Clone, Copy)]
struct Digests {
    body: Digest,
    request: Digest,
}

/// A metered order, and the model that will answer it.
struct Counted {
    model: Model,
    usage: Usage,
}

impl From<QuoteRefused> for QuoteError {
    fn from(error: QuoteRefused) -> Self {
        match error {
            QuoteRefused::Refused(error) => Self::Admission(error),
            QuoteRefused::Store(error) => Self::Store(error),
        }
    }
}

impl Quotes {
    /// Quotes an order, or answers the stored quote of its request id. A repeat finishes what a crash or failure left
    /// undone, with the same job and invoice id.
    pub async fn create(&self, order: &Order, payer: Option<Payer>) -> Result<Quoted, QuoteError> {
        let request_digest = blocking::on_bytes(order.input.content_bytes(), || order.input.digest())?;
        let body_digest = order.body_digest(&request_digest);
        let found = jobs::by_request_id(self.store.pool(), order.request_id).await?;
        let record = match found {
            Some(record) => record,
            None => self.offer(order, Digests { body: body_digest, request: request_digest }, payer).await?,
        };
        if record.body_digest != body_digest {
            return Err(QuoteError::RequestIdReused);
        }
        let invoice = match &record.invoice {
            Some(invoice) => invoice.clone(),
            None => self.make_invoice(&record).await?,
        };
        Ok(self.quoted(record, invoice))
    }

    fn quoted(&self, record: JobRecord, invoice: Invoice) -> Quoted {
        Quoted {
            job_id: record.job_id,
            token: self.keys.token(record.job_id),
            price: record.job.price,
            usage: record.usage,
            expiry: record.expiry_s(),
            quote: record.quote,
            bolt11: invoice.bolt11,
            payment_hash: invoice.payment_hash,
        }
    }

    /// Row 1: prices the order and stores the signed quote.
    async fn offer(
        &self,
        order: &Order,
        digests: Digests,
        payer: Option<Payer>,
    ) -> Result<JobRecord, QuoteError> {
        order.check(self.settings.network, &self.settings.limits)?;
        self.brakes.check(Brake::NewJobs).await?;
        let price = self.prices.of(&order.model_name).await?;
        let price = price.ok_or_else(|| QuoteError::NotForSale(order.model_name.clone()))?;
        self.admission.quote(payer, &order.model_name).await?;
        let (node, counted) = self.ask(order).await?;
        let new = NewJob { payer, ..self.new_job(order, digests, &price, counted).await? };
        self.admission.payment(&node, new.price)?;
        if jobs::insert(&self.store, &new).await? {
            tracing::info!(job_id = %new.job_id, price_msat = new.price.msat(), "job quoted");
            self.crash_points.pass(crash_points::QUOTED).await;
        }
        // Ours, or that of a twin of this request which was faster.
        let record = jobs::by_request_id(self.store.pool(), order.request_id).await?;
        record.ok_or_else(|| StoreError::Corrupt("an inserted job is gone".to_owned()).into())
    }

    /// Asks the node and model serving side by side: a row is made only when an invoice can follow.
    async fn ask(&self, order: &Order) -> Result<(Node, Counted), QuoteError> {
        let (node, counted) = tokio::join!(self.payments.node(), self.count(order));
        let counted = counted?;
        let node = node.map_err(QuoteError::Payment)?;
        if node.network != self.settings.network {
            let what = format!("a node on {} for a gateway on {}", node.network, self.settings.network);
            return Err(QuoteError::Payment(CallError::Malformed { service: "payment", what }));
        }
        if node.synced { Ok((node, counted)) } else { Err(QuoteError::NotSynced) }
    }

    /// What is metered of the order, by the model that will answer it.
    async fn count(&self, order: &Order) -> Result<Counted, QuoteError> {
        let (model, usage) = match &order.input {
            JobInput::Embed(input) => {
                let call = EmbedCall {
                    model_name: order.model_name.clone(),
                    model_version: order.model_version.clone(),
                    texts: input.texts.clone(),
                    truncate: input.truncate,
                    account: None,
                };
                let tokenized = match self.serving.tokenize(&call).await {
                    Ok(tokenized) => tokenized,
                    // As it answers where a model reads no texts.
                    Err(error) if error.reason() == Some(ErrorReason::InvalidField) => {
                        self.find(order).await?;
                        return Err(QuoteError::Serving(error));
                    }
                    Err(error) => return Err(QuoteError::Serving(error)),
                };
                let tokens = tokenized.token_counts.iter().map(|count| u64::from(*count)).sum();
                (tokenized.model, Usage::tokens(tokens))
            }
            JobInput::Infer(inference) => {
                (self.find(order).await?, Usage::tensors(inference.inputs.content_bytes()))
            }
        };
        Ok(Counted { model: Model { name: model.name, version: model.version, digest: model.digest }, usage })
    }

    /// The model that is asked for, which takes the order.
    async fn find(&self, order: &Order) -> Result<Loaded, QuoteError> {
        let loaded = self.serving.list_models().await.map_err(QuoteError::Serving)?;
        let model = named(&loaded, &order.model_name, &order.model_version);
        let model = model.ok_or_else(|| QuoteError::NotLoaded(order.model_name.clone()))?;
        order.input.check_model(&model.kind, &model.inputs, &model.outputs)?;
        Ok(model.clone())
    }

    async fn new_job(
        &self,
        order: &Order,
        digests: Digests,
        price: &Price,
        Counted { model, usage }: Counted,
    ) -> Result<NewJob, QuoteError> {
        let created_at = store::now(self.store.pool()).await?;
        // Whole seconds, so that the signed quote and the row agree.
        let expiry_s = created_at.0 / 1000 + self.settings.expiry.as_secs();
        let facts = QuoteFacts {
            job_id: JobId::new(Uuid::now_v7()),
            network: self.settings.network,
            model,
            task: order.input.task(),
            request_digest: digests.request,
            usage,
            price: price.of(&usage)?,
            rail: Rail::Hold,
            created: created_at.to_s(),
            expiry: UnixS(expiry_s),
            seal: order.sealed_to.map(|buyer_key| self.keys.seal(buyer_key)),
        };
        Ok(NewJob {
            job_id: facts.job_id,
            request_id: order.request_id,
            body_digest: digests.body,
            token_hash: token_hash(&self.keys.token(facts.job_id)),
            model: facts.model.clone(),
            input: blocking::on_bytes(order.input.content_bytes(), || order.input.to_bytes())?,
            request_digest: facts.request_digest,
            usage,
            price: facts.price,
            created_at,
            expiry: UnixMs(expiry_s.saturating_mul(1000)),
            invoice_expiry_s: u32::try_from(self.settings.expiry.as_secs()).unwrap_or(u32::MAX),
            sealed_to: order.sealed_to,
            quote: sign_quote(self.keys.signer(), facts)?.into_string(),
            payer: None,
        })
    }

    /// Row 2: has the invoice made, checks that it commits to the quote, and stores it. Only then it may be shown.
    async fn make_invoice(&self, record: &JobRecord) -> Result<Invoice, QuoteError> {
        if record.job.state != State::Quoted || record.now >= record.job.expiry {
            return Err(QuoteError::Ended);
        }
        // Also of a quote that was stored before: nothing new may become payable.
        self.brakes.check(Brake::NewJobs).await?;
        let description_hash = Digest::sha256(record.quote.as_bytes());
        let made = self
            .payments
            .create_hold_invoice(record.job_id, record.job.price, description_hash, record.invoice_expiry_s)
            .await
            .map_err(payment_error)?;
        if matches!(
            made.state,
            HoldInvoiceState::Released | HoldInvoiceState::ReleaseRequested | HoldInvoiceState::Expired
        ) {
            return Err(QuoteError::Ended);
        }
        let signed = SignedInvoice::parse(&made.bolt11)?;
        signed.check(&Agreement {
            network: self.settings.network,
            amount: record.job.price,
            description_hash,
            payment_hash: made.payment_hash.unwrap_or(signed.payment_hash),
            payee: None,
        })?;
        let invoice = Invoice { bolt11: made.bolt11, payment_hash: signed.payment_hash };
        if jobs::store_invoice(self.store.pool(), record.job_id, &invoice).await? {
            self.crash_points.pass(crash_points::INVOICE_STORED).await;
            return Ok(invoice);
        }
        // A twin of this request was faster; what is stored is what is answered.
        let stored = jobs::by_id(self.store.pool(), record.job_id).await?.and_then(|record| record.invoice);
        stored.ok_or_else(|| StoreError::Corrupt("a stored invoice is gone".to_owned()).into())
    }
}

/// A job that was released before its invoice was made is refused by the payment service for ever.
fn payment_error(error: CallError) -> QuoteError {
    match error.reason() {
        Some(ErrorReason::InvalidState) => QuoteError::Ended,
        Some(ErrorReason::NotSynced) => QuoteError::NotSynced,
        _ => QuoteError::Payment(error),
    }
}
