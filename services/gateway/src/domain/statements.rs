//! What the gateway signs about a job: quote, receipt, closing entry.

use ailayer_primitives::{AmountMsat, Digest, JobId, Network, PaymentHash, UnixMs, UnixS};
use ailayer_receipt::statement::{
    Claim, Closing, Model, Outcome as Ending, Quote, Rail, Receipt, Seal, Task, Usage,
};
use ailayer_receipt::{Envelope, EnvelopeError, GatewaySigner};

use super::job::{Outcome, Rail as JobRail};
use super::price::Usage as Metered;

/// Version of every statement.
const VERSION: u32 = ailayer_receipt::statement::VERSION;

/// What a quote says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteFacts {
    /// The job that is offered.
    pub job_id: JobId,
    /// Network the money is on.
    pub network: Network,
    /// The model that will answer.
    pub model: Model,
    /// Canonical digest of the input.
    pub request_digest: Digest,
    /// What it will do.
    pub task: Task,
    /// What is metered, or the most that may be charged for.
    pub usage: Metered,
    /// The exact price, or the cap.
    pub price: AmountMsat,
    /// How it is paid.
    pub rail: JobRail,
    /// When the quote is made.
    pub created: UnixS,
    /// When it ends.
    pub expiry: UnixS,
    /// Whose keys seal the answer, if it is to be sealed.
    pub seal: Option<Seal>,
}

/// Signs a quote.
pub fn sign_quote(signer: &GatewaySigner, facts: QuoteFacts) -> Result<Envelope, EnvelopeError> {
    signer.sign(&Quote {
        version: VERSION,
        job_id: facts.job_id,
        network: facts.network,
        seller: signer.public_key(),
        model: facts.model,
        task: facts.task,
        request_digest: facts.request_digest,
        input_tokens: facts.usage.input_tokens,
        tensor_bytes: facts.usage.tensor_bytes,
        price_msat: facts.price,
        rail: rail(facts.rail),
        expiry_unix_s: facts.expiry,
        created_unix_s: facts.created,
        seal: facts.seal,
    })
}

const fn rail(rail: JobRail) -> Rail {
    match rail {
        JobRail::Hold => Rail::Hold,
        JobRail::Prepaid => Rail::Prepaid,
    }
}

/// What a receipt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptFacts {
    /// The job that was served.
    pub job_id: JobId,
    /// Network the money is on.
    pub network: Network,
    /// The model that answered.
    pub model: Model,
    /// Canonical digest of the input.
    pub request_digest: Digest,
    /// How it is paid.
    pub rail: JobRail,
    /// SHA-256 of the quote's envelope.
    pub quote_digest: Digest,
    /// What the model ran on.
    pub execution_provider: String,
    /// Canonical digest of the output.
    pub output_digest: Digest,
    /// SHA-256 of the ciphertext, if the output is sealed.
    pub sealed_digest: Option<Digest>,
    /// Rows of the output, or its tensors.
    pub rows: u64,
    /// What was read.
    pub usage: Metered,
    /// What will be taken.
    pub charge: AmountMsat,
    /// The held payment, on the hold rail.
    pub payment_hash: Option<PaymentHash>,
    /// Which attempt answered.
    pub attempt: u32,
    /// When the money was locked.
    pub held_at: UnixMs,
    /// When the attempt started.
    pub started_at: UnixMs,
    /// When its output was there.
    pub completed_at: UnixMs,
}

/// Signs a receipt: taking the charge is authorised.
pub fn sign_receipt(signer: &GatewaySigner, facts: ReceiptFacts) -> Result<Envelope, EnvelopeError> {
    signer.sign(&Receipt {
        version: VERSION,
        job_id: facts.job_id,
        network: facts.network,
        model: facts.model,
        execution_provider: facts.execution_provider,
        request_digest: facts.request_digest,
        output_digest: facts.output_digest,
        usage: Usage {
            input_tokens: facts.usage.input_tokens,
            tensor_bytes: facts.usage.tensor_bytes,
            rows: facts.rows,
        },
        price_msat: facts.charge,
        rail: rail(facts.rail),
        payment_hash: facts.payment_hash,
        quote_digest: facts.quote_digest,
        attempt: facts.attempt,
        held_unix_ms: facts.held_at,
        started_unix_ms: facts.started_at,
        completed_unix_ms: facts.completed_at,
        claims: Claim::ClaimAuthorised,
        sealed_digest: facts.sealed_digest,
    })
}

/// Signs a closing entry. `amount`: what was taken, nothing, or what was written off.
pub fn sign_closing(
    signer: &GatewaySigner,
    job_id: JobId,
    receipt: &str,
    outcome: Outcome,
    amount: AmountMsat,
    closed_at: UnixMs,
) -> Result<Envelope, EnvelopeError> {
    signer.sign(&Closing {
        version: VERSION,
        job_id,
        outcome: match outcome {
            Outcome::Settled => Ending::Settled,
            Outcome::Voided => Ending::Voided,
            Outcome::Lost => Ending::Lost,
        },
        receipt_leaf_hash: ailayer_tlog::leaf_hash(receipt.as_bytes()),
        amount_msat: amount,
        closed_unix_ms: closed_at,
    })
}
