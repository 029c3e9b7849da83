//! A sealed answer: what is checked before it is acknowledged, and how it is opened once it is paid.

use ailayer_primitives::{Digest, Preimage};
use ailayer_receipt::Receipt;
use ailayer_receipt::answer::Answer as AnswerBytes;
use ailayer_seal::{Context, ResultKey, SecretKey};

use super::{AnswerError, Purchase, check_receipt};
use crate::gateway::Answer;

/// Checks the receipt of a sealed answer against the purchase, and the delivered ciphertext against the receipt. Only then
/// it is acknowledged: what is inside is seen after paying, and provable then.
pub fn check_sealed(purchase: &Purchase, receipt: &str, ciphertext: &[u8]) -> Result<Receipt, AnswerError> {
    let receipt = check_receipt(purchase, receipt)?;
    match receipt.sealed_digest {
        None => Err(AnswerError::Seal("in the clear")),
        Some(digest) if digest != Digest::sha256(ciphertext) => Err(AnswerError::SealedDigest),
        Some(_) => Ok(receipt),
    }
}

/// Opens a sealed answer with the buyer's ephemeral secret and the preimage that the payment brought, and checks it against
/// the receipt.
pub fn open_sealed(
    purchase: &Purchase,
    receipt: &str,
    ciphertext: &[u8],
    secret: &SecretKey,
    preimage: &Preimage,
) -> Result<(Receipt, Answer), AnswerError> {
    let receipt = check_sealed(purchase, receipt, ciphertext)?;
    if preimage.payment_hash() != purchase.payment_hash {
        return Err(AnswerError::NotOurs("preimage"));
    }
    let seal = purchase.quote.seal.filter(|seal| seal.buyer_key == secret.public_key());
    let seal = seal.ok_or(AnswerError::NotOurs("secret key"))?;
    let job_id = purchase.job_id();
    let key = ResultKey::derive(preimage, &secret.agree(&seal.gateway_key), job_id);
    let context = Context {
        job_id,
        attempt: receipt.attempt,
        quote_digest: purchase.quote_digest,
        output_digest: receipt.output_digest,
    };
    let opened = key.open(&context, ciphertext).map_err(|_| AnswerError::NoAnswer("it does not open"))?;
    let answer = AnswerBytes::from_bytes(&opened).map_err(|_| AnswerError::NoAnswer("malformed"))?;
    if u64::try_from(answer.rows()) != Ok(receipt.usage.rows) {
        return Err(AnswerError::Shape);
    }
    if answer.digest() != receipt.output_digest {
        return Err(AnswerError::OutputDigest);
    }
    Ok((receipt, Answer::opened(answer)))
}
