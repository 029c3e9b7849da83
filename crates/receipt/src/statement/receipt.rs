//! The receipt: what was done, for which money. Signed and logged before the money is taken.

use ailayer_primitives::{AmountMsat, Digest, JobId, Network, PaymentHash, UnixMs};
use serde::{Deserialize, Serialize};

use super::{Model, Rail, Statement, StatementError, check_integers, check_text, check_version, is_zero};

/// What a receipt claims about the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Claim {
    /// The held money may now be taken. How that ended is said by the closing entry, not here.
    #[serde(rename = "claim authorised")]
    ClaimAuthorised,
}

/// What was consumed and made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// Tokens of all texts together. 0 of tensors.
    pub input_tokens: u64,
    /// Bytes of all input tensors' contents together; left out of texts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tensor_bytes: u64,
    /// Rows of the output: one a text; of tensors their number.
    pub rows: u64,
}

/// The gateway's statement that the job was served. Times are the gateway's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Version of the statement: 1.
    pub version: u32,
    /// The job that was served.
    pub job_id: JobId,
    /// Network the money is on.
    pub network: Network,
    /// The model that answered.
    pub model: Model,
    /// What it ran on, as ONNX Runtime names it.
    pub execution_provider: String,
    /// Canonical digest of the request ([`crate::digest`]).
    pub request_digest: Digest,
    /// Canonical digest of the output ([`crate::digest`]).
    pub output_digest: Digest,
    /// What was consumed and made.
    pub usage: Usage,
    /// What is taken for it, in millisatoshi; never above the quote.
    pub price_msat: AmountMsat,
    /// How it is paid.
    pub rail: Rail,
    /// The held payment; there is none on the prepaid rail, whose reservation is named by the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_hash: Option<PaymentHash>,
    /// SHA-256 of the quote's envelope.
    pub quote_digest: Digest,
    /// Which attempt served the job, from 1.
    pub attempt: u32,
    /// When the money was locked.
    pub held_unix_ms: UnixMs,
    /// When the attempt started.
    pub started_unix_ms: UnixMs,
    /// When its output was stored.
    pub completed_unix_ms: UnixMs,
    /// What this says about the money: claim authorised.
    pub claims: Claim,
    /// SHA-256 of the ciphertext, where the quote seals the answer; left out otherwise. `output_digest` is what it opens to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_digest: Option<Digest>,
}

impl Statement for Receipt {
    const PAYLOAD_TYPE: &'static str = "application/vnd.ailayer.receipt.v1+json";

    fn validate(&self) -> Result<(), StatementError> {
        check_version(self.version)?;
        self.model.validate()?;
        check_text("execution_provider", &self.execution_provider)?;
        if self.payment_hash.is_some() != (self.rail == Rail::Hold) {
            return Err(StatementError::Contradiction(
                "payment_hash is there on the hold rail, and only there",
            ));
        }
        if self.sealed_digest.is_some() && self.rail != Rail::Hold {
            return Err(StatementError::Contradiction("only the hold rail has sealed answers"));
        }
        check_integers(&[
            ("usage.input_tokens", self.usage.input_tokens),
            ("usage.tensor_bytes", self.usage.tensor_bytes),
            ("usage.rows", self.usage.rows),
            ("price_msat", self.price_msat.msat()),
            ("held_unix_ms", self.held_unix_ms.0),
            ("started_unix_ms", self.started_unix_ms.0),
            ("completed_unix_ms", self.completed_unix_ms.0),
        ])
    }
}
