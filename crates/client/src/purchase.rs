//! What a careful buyer checks: the offer before money is locked, the answer after.
//!
//! Pure. Nothing here believes a field that the seller's signature does not cover.

use ailayer_primitives::{AmountMsat, Digest, JobId, Network, PaymentHash, UnixS};
use ailayer_receipt::statement::{Model, Rail};
use ailayer_receipt::{Envelope, EnvelopeError, GatewayKey, Quote, Receipt};
use thiserror::Error;

mod sealed;

pub use sealed::{check_sealed, open_sealed};

use crate::gateway::{Answer, Offer, Order};
use crate::invoice::{Agreement, Invoice, InvoiceError};

/// What the buyer insists on, beyond the order itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The key that must have signed: pinned, or announced by the seller and written down.
    pub seller: GatewayKey,
    /// The most the buyer pays.
    pub max_price: AmountMsat,
    /// The model file's digest, if the buyer insists on one.
    pub model_digest: Option<Digest>,
    /// The node that must be paid, if the buyer knows it.
    pub payee: Option<[u8; 33]>,
}

/// An offer that must not be paid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OfferError {
    /// The quote is not validly signed by the seller's key.
    #[error("the quote: {0}")]
    Quote(#[from] EnvelopeError),
    /// The invoice is not what the quote says.
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    /// What was asked cannot be digested, so it cannot be compared.
    #[error("the order has too many texts")]
    TooManyTexts,
    /// A field of the quote is not what was asked for.
    #[error("the quote is for another {0} than was asked for")]
    Other(&'static str),
    /// The price is above the buyer's limit.
    #[error("the price is {price}, above the limit of {limit}")]
    TooExpensive {
        /// What the quote asks.
        price: AmountMsat,
        /// What the buyer allows.
        limit: AmountMsat,
    },
    /// The quote has ended.
    #[error("the quote has expired")]
    Expired,
}

/// A checked offer: safe to pay, and what the answer will be held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purchase {
    /// What the seller signed.
    pub quote: Quote,
    /// The SHA-256 of the signed quote's bytes.
    pub quote_digest: Digest,
    /// The payment that buys the answer.
    pub payment_hash: PaymentHash,
    /// The invoice to pay.
    pub bolt11: String,
    seller: GatewayKey,
}

/// Checks an offer against the order and the buyer's terms: signature, request digest, model, network, price,
/// expiry, and that the invoice commits to exactly this quote.
pub fn check_offer(order: &Order, terms: &Terms, offer: &Offer, now: UnixS) -> Result<Purchase, OfferError> {
    let envelope = Envelope::parse(&offer.quote)?;
    let quote: Quote = envelope.open(&terms.seller)?;
    let asked = order.task.digest().map_err(|_| OfferError::TooManyTexts)?;
    require(quote.seller == terms.seller, "seller")?;
    require(quote.job_id == offer.key.job_id, "job")?;
    require(quote.network == order.network, "network")?;
    require(quote.task == order.task.name(), "task")?;
    require(quote.rail == Rail::Hold, "way to pay")?;
    require(quote.request_digest == asked, "request")?;
    require(quote.tensor_bytes == order.task.tensor_bytes(), "number of bytes")?;
    require(quote.model.name == order.model_name, "model")?;
    require(order.model_version.is_empty() || quote.model.version == order.model_version, "model version")?;
    require(quote.seal.map(|seal| seal.buyer_key) == order.sealed_to, "sealing key")?;
    require(terms.model_digest.is_none_or(|digest| digest == quote.model.digest), "model digest")?;
    if quote.price_msat > terms.max_price {
        return Err(OfferError::TooExpensive { price: quote.price_msat, limit: terms.max_price });
    }
    let (invoice, purchase) = bind(&envelope, quote, &offer.bolt11, terms.seller, |agreement| Agreement {
        payment_hash: offer.payment_hash,
        payee: terms.payee,
        ..agreement
    })?;
    if now >= purchase.quote.expiry_unix_s || now >= invoice.expiry {
        return Err(OfferError::Expired);
    }
    Ok(purchase)
}

/// A purchase whose offer was checked and paid before, from what was kept of it: also when the quote has ended meanwhile.
pub fn kept_purchase(seller: GatewayKey, quote: &str, bolt11: &str) -> Result<Purchase, OfferError> {
    let envelope = Envelope::parse(quote)?;
    let quote: Quote = envelope.open(&seller)?;
    Ok(bind(&envelope, quote, bolt11, seller, |agreement| agreement)?.1)
}

/// Checks that the invoice commits to the quote, and to what else the caller insists on.
fn bind(
    envelope: &Envelope,
    quote: Quote,
    bolt11: &str,
    seller: GatewayKey,
    insist: impl FnOnce(Agreement) -> Agreement,
) -> Result<(Invoice, Purchase), OfferError> {
    let invoice = Invoice::parse(bolt11)?;
    invoice.check(&insist(Agreement {
        network: quote.network,
        amount: quote.price_msat,
        description_hash: envelope.digest(),
        payment_hash: invoice.payment_hash,
        payee: None,
    }))?;
    let purchase = Purchase {
        quote_digest: envelope.digest(),
        payment_hash: invoice.payment_hash,
        bolt11: bolt11.to_owned(),
        seller,
        quote,
    };
    Ok((invoice, purchase))
}

fn require(holds: bool, what: &'static str) -> Result<(), OfferError> {
    if holds { Ok(()) } else { Err(OfferError::Other(what)) }
}

/// An answer that is not what was bought. The receipt, if it opens, is the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// The receipt is not validly signed by the seller's key.
    #[error("the receipt: {0}")]
    Receipt(#[from] EnvelopeError),
    /// The receipt differs from the quote.
    #[error("the receipt is about another {0} than the quote")]
    Differs(&'static str),
    /// The answer has another number of rows than there were texts, or rows of different lengths.
    #[error("the answer has the wrong shape")]
    Shape,
    /// What was to be sealed was not, or the other way round.
    #[error("the receipt is about an answer that is {0}")]
    Seal(&'static str),
    /// What was delivered is not the ciphertext that the receipt commits to.
    #[error("the ciphertext is not the one the receipt commits to")]
    SealedDigest,
    /// The secret or the preimage is another purchase's. The seller has no part in that.
    #[error("the {0} is not that of this purchase")]
    NotOurs(&'static str),
    /// The ciphertext that the receipt commits to opens to nothing, or to what is no answer: the receipt, the preimage and the
    /// buyer's secret are the evidence.
    #[error("the ciphertext that the receipt commits to does not hold an answer: {0}")]
    NoAnswer(&'static str),
    /// The numbers that were delivered are not the ones the receipt commits to.
    #[error("the answer is not the one the receipt commits to")]
    OutputDigest,
}

/// Checks a receipt against the purchase, and the delivered answer against the receipt.
pub fn check_answer(purchase: &Purchase, receipt: &str, answer: &Answer) -> Result<Receipt, AnswerError> {
    let receipt = check_receipt(purchase, receipt)?;
    if u64::try_from(answer.delivered.rows()) != Ok(receipt.usage.rows) {
        return Err(AnswerError::Shape);
    }
    if answer.delivered.digest() != receipt.output_digest || answer.output_digest != receipt.output_digest {
        return Err(AnswerError::OutputDigest);
    }
    Ok(receipt)
}

/// Checks a receipt against the purchase alone.
pub fn check_receipt(purchase: &Purchase, receipt: &str) -> Result<Receipt, AnswerError> {
    let receipt: Receipt = Envelope::parse(receipt)?.open(&purchase.seller)?;
    let quote = &purchase.quote;
    same(receipt.job_id == quote.job_id, "job")?;
    same(receipt.network == quote.network, "network")?;
    same(receipt.model == quote.model, "model")?;
    same(receipt.request_digest == quote.request_digest, "request")?;
    same(receipt.price_msat <= quote.price_msat, "price")?;
    same(receipt.rail == quote.rail, "way to pay")?;
    same(receipt.payment_hash == Some(purchase.payment_hash), "payment")?;
    same(receipt.quote_digest == purchase.quote_digest, "quote")?;
    same(receipt.usage.input_tokens == quote.input_tokens, "number of tokens")?;
    same(receipt.usage.tensor_bytes == quote.tensor_bytes, "number of bytes")?;
    match (quote.seal.is_some(), receipt.sealed_digest.is_some()) {
        (true, false) => Err(AnswerError::Seal("in the clear")),
        (false, true) => Err(AnswerError::Seal("sealed")),
        (true, true) | (false, false) => Ok(receipt),
    }
}

fn same(holds: bool, what: &'static str) -> Result<(), AnswerError> {
    if holds { Ok(()) } else { Err(AnswerError::Differs(what)) }
}

/// The job and model a purchase is about, for showing to people.
impl Purchase {
    /// The job.
    pub fn job_id(&self) -> JobId {
        self.quote.job_id
    }

    /// The network money is locked on.
    pub fn network(&self) -> Network {
        self.quote.network
    }

    /// The model that will answer.
    pub fn model(&self) -> &Model {
        &self.quote.model
    }
}

#[cfg(test)]
mod tests;
