//! The quote: what a job will cost, and what will be done for it.

use ailayer_primitives::{AmountMsat, Digest, JobId, Network, UnixS};
use ailayer_seal::PublicKey;
use serde::{Deserialize, Serialize};

use super::{Model, Statement, StatementError, check_integers, check_version, is_zero};
use crate::keys::GatewayKey;

/// What the model is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Texts in, one vector a text out.
    Embed,
    /// Tensors in, tensors out.
    Infer,
}

/// How the job is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rail {
    /// A Lightning hold invoice at the exact price.
    Hold,
    /// A reservation on a prepaid balance: the price is a cap, and what was used is taken.
    Prepaid,
}

/// Whose keys seal the answer ([`ailayer_seal`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The buyer's ephemeral key: the answer is sealed to it.
    pub buyer_key: PublicKey,
    /// The gateway's sealing key.
    pub gateway_key: PublicKey,
}

/// The gateway's offer. On the hold rail the invoice's description hash is the SHA-256 of this statement's envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// Version of the statement: 1.
    pub version: u32,
    /// The job that is offered.
    pub job_id: JobId,
    /// Network the money is on.
    pub network: Network,
    /// Who offers: the key that signs.
    pub seller: GatewayKey,
    /// The model that will answer.
    pub model: Model,
    /// What it will be asked to do.
    pub task: Task,
    /// Canonical digest of the request ([`crate::digest`]).
    pub request_digest: Digest,
    /// Tokens of all texts together; prepaid: the most that may be charged for. 0 of tensors.
    pub input_tokens: u64,
    /// Bytes of all input tensors' contents together; left out of texts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tensor_bytes: u64,
    /// The price, in millisatoshi: exact on the hold rail, the most that is taken on the prepaid one.
    pub price_msat: AmountMsat,
    /// How it is to be paid.
    pub rail: Rail,
    /// Until when the invoice may be paid; prepaid: when the quote was made, for it was accepted at once.
    pub expiry_unix_s: UnixS,
    /// When the quote was made.
    pub created_unix_s: UnixS,
    /// A sealed answer: delivered as a ciphertext that the payment's preimage opens. Hold rail only; left out otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
}

impl Statement for Quote {
    const PAYLOAD_TYPE: &'static str = "application/vnd.ailayer.quote.v1+json";

    fn validate(&self) -> Result<(), StatementError> {
        check_version(self.version)?;
        self.model.validate()?;
        check_integers(&[
            ("input_tokens", self.input_tokens),
            ("tensor_bytes", self.tensor_bytes),
            ("price_msat", self.price_msat.msat()),
            ("expiry_unix_s", self.expiry_unix_s.0),
            ("created_unix_s", self.created_unix_s.0),
        ])?;
        if self.expiry_unix_s < self.created_unix_s {
            return Err(StatementError::Contradiction("expiry_unix_s is before created_unix_s"));
        }
        let other_unit = match self.task {
            Task::Embed => self.tensor_bytes,
            Task::Infer => self.input_tokens,
        };
        if other_unit != 0 {
            return Err(StatementError::Contradiction("tokens are of texts and bytes of tensors"));
        }
        if self.seal.is_some() && self.rail != Rail::Hold {
            return Err(StatementError::Contradiction("only the hold rail has sealed answers"));
        }
        Ok(())
    }
}
