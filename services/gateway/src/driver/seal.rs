//! What is stored of an answer: its bytes, or the ciphertext of them.

use ailayer_client::ErrorReason;
use ailayer_primitives::Digest;
use ailayer_receipt::EnvelopeError;
use ailayer_receipt::answer::Answer;
use ailayer_seal::{Context, ResultKey, TooLong};
use thiserror::Error;

use super::Driver;
use super::run::Failed;
use crate::domain::release::ReleaseReason;
use crate::store::JobRecord;

/// An answer as it is stored and delivered.
pub(super) struct Stored {
    /// The answer's byte form; of a sealed job its ciphertext.
    pub output: Vec<u8>,
    /// SHA-256 of the ciphertext, of a sealed job.
    pub sealed_digest: Option<Digest>,
}

/// Why there is no valid receipt of an answer.
#[derive(Debug, Error)]
pub(super) enum NoReceipt {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// It cannot happen: the key is asked for before the model. An answer that is to be sealed is never stored in the clear.
    #[error("there is no key to seal the answer with")]
    NoKey,
}

impl Driver {
    /// What seals the answer of a running job; nothing for an answer in the clear. The preimage stays at the payment service.
    pub(super) async fn result_key(&self, running: &JobRecord) -> Result<Option<ResultKey>, Failed> {
        let Some(buyer_key) = &running.sealed_to else { return Ok(None) };
        let shared = self.keys.sealing().agree(buyer_key);
        match self.payments.seal_key(running.job_id, &shared).await {
            Ok(key) => Ok(Some(key)),
            // Also when the invoice holds no money any more: the event that says so is on its way.
            Err(error) if error.is_transient() || error.reason() == Some(ErrorReason::InvalidState) => {
                Err(Failed::ForNow(error))
            }
            Err(error) => Err(Failed::ForGood(ReleaseReason::ReceiptFailed, error.to_string())),
        }
    }
}

/// Seals an answer if the job asks for it. The same answer of the same attempt gives the same bytes.
pub(super) fn stored_form(
    running: &JobRecord,
    answer: &Answer,
    result_key: Option<&ResultKey>,
) -> Result<Stored, NoReceipt> {
    let output = answer.to_bytes();
    if running.sealed_to.is_none() {
        return Ok(Stored { output, sealed_digest: None });
    }
    let context = Context {
        job_id: running.job_id,
        attempt: running.job.attempt,
        quote_digest: Digest::sha256(running.quote.as_bytes()),
        output_digest: answer.digest(),
    };
    let ciphertext = result_key.ok_or(NoReceipt::NoKey)?.seal(&context, &output)?;
    let sealed_digest = Some(Digest::sha256(&ciphertext));
    Ok(Stored { output: ciphertext, sealed_digest })
}
