//! Quote, receipt and closing entry: signatures and what ties them together.

use crate::bundle::Bundle;
use crate::digest::{embed_input, embed_output_rows};
use crate::envelope::Envelope;
use crate::keys::GatewayKey;
use crate::statement::{Closing, Outcome, Quote, Receipt, Statement};

use super::error::{Part, VerifyError};
use super::{KnownOutput, Trust, report::Checks};

/// The statements, signed and consistent.
#[derive(Debug)]
pub(super) struct Statements {
    pub quote: Quote,
    pub receipt: Receipt,
    pub receipt_envelope: Envelope,
    pub closing: Option<(Closing, Envelope)>,
}

pub(super) fn check(bundle: &Bundle, trust: &Trust, checks: &mut Checks) -> Result<Statements, VerifyError> {
    let key = &bundle.gateway_key;
    let (quote, quote_envelope) = open::<Quote>(Part::Quote, &bundle.quote, key)?;
    let (receipt, receipt_envelope) = open::<Receipt>(Part::Receipt, &bundle.receipt, key)?;
    checks.push("quote and receipt are signed by the gateway key".to_owned());
    check_quote(&quote, bundle)?;
    check_receipt(&receipt, &quote, &quote_envelope)?;
    checks.push(
        "receipt answers this quote: same job, model, request, network and rail, price not above it"
            .to_owned(),
    );
    check_plaintext(&receipt, trust, checks)?;
    let closing = match &bundle.closing {
        None => None,
        Some(text) => {
            let (closing, envelope) = open::<Closing>(Part::Closing, text, key)?;
            check_closing(&closing, &receipt, &receipt_envelope)?;
            checks.push(format!(
                "closing entry {} is signed by the gateway key and for this receipt",
                closing.outcome
            ));
            Some((closing, envelope))
        }
    };
    Ok(Statements { quote, receipt, receipt_envelope, closing })
}

fn open<S: Statement>(part: Part, text: &str, key: &GatewayKey) -> Result<(S, Envelope), VerifyError> {
    let envelope = Envelope::parse(text).map_err(|error| VerifyError::Envelope(part, error))?;
    let statement = envelope.open(key).map_err(|error| VerifyError::Envelope(part, error))?;
    Ok((statement, envelope))
}

/// Fails unless the two sides of a link agree.
fn link(agrees: bool, part: Part, field: &'static str, other: &'static str) -> Result<(), VerifyError> {
    if agrees { Ok(()) } else { Err(VerifyError::Link { part, field, other }) }
}

fn check_quote(quote: &Quote, bundle: &Bundle) -> Result<(), VerifyError> {
    link(quote.network == bundle.network, Part::Quote, "network", "the bundle's network")?;
    link(quote.seller == bundle.gateway_key, Part::Quote, "seller", "gateway_key")
}

fn check_receipt(receipt: &Receipt, quote: &Quote, envelope: &Envelope) -> Result<(), VerifyError> {
    let agrees = |agrees, field| link(agrees, Part::Receipt, field, "the quote");
    agrees(receipt.quote_digest == envelope.digest(), "quote_digest")?;
    agrees(receipt.job_id == quote.job_id, "job_id")?;
    agrees(receipt.network == quote.network, "network")?;
    agrees(receipt.model == quote.model, "model")?;
    agrees(receipt.request_digest == quote.request_digest, "request_digest")?;
    agrees(receipt.rail == quote.rail, "rail")?;
    agrees(receipt.sealed_digest.is_some() == quote.seal.is_some(), "sealed_digest")?;
    if receipt.price_msat > quote.price_msat {
        return Err(VerifyError::AboveQuote("price_msat"));
    }
    if receipt.usage.input_tokens > quote.input_tokens {
        return Err(VerifyError::AboveQuote("usage.input_tokens"));
    }
    if receipt.usage.tensor_bytes > quote.tensor_bytes {
        return Err(VerifyError::AboveQuote("usage.tensor_bytes"));
    }
    Ok(())
}

/// Compares what the caller has with what the receipt commits to.
fn check_plaintext(receipt: &Receipt, trust: &Trust, checks: &mut Checks) -> Result<(), VerifyError> {
    if let Some(texts) = &trust.request_texts {
        let digest = embed_input(texts).map_err(|error| VerifyError::Undigestible("texts", error))?;
        if receipt.request_digest != digest {
            return Err(VerifyError::OtherRequest);
        }
        check_rows(receipt, texts.len(), "texts")?;
        checks.push("request digest is that of the given texts".to_owned());
    }
    if let Some(inference) = &trust.request_tensors {
        if receipt.request_digest != inference.digest() {
            return Err(VerifyError::OtherTensors);
        }
        if receipt.usage.tensor_bytes != inference.inputs.content_bytes() {
            return Err(VerifyError::OtherBytes);
        }
        checks.push("request digest is that of the given tensors".to_owned());
    }
    if let Some(output) = &trust.output {
        let (digest, rows) = match output {
            KnownOutput::Rows(rows) => {
                let digest = embed_output_rows(rows);
                (digest.map_err(|error| VerifyError::Undigestible("output", error))?, rows.len())
            }
            KnownOutput::Tensors(tensors) => (tensors.digest(), tensors.as_slice().len()),
        };
        if receipt.output_digest != digest {
            return Err(VerifyError::OtherOutput);
        }
        check_rows(receipt, rows, "output")?;
        checks.push("output digest is that of the given output".to_owned());
    }
    if let Some(ciphertext) = trust.sealed_digest {
        if receipt.sealed_digest != Some(ciphertext) {
            return Err(VerifyError::OtherCiphertext);
        }
        checks.push("sealed digest is that of the given ciphertext".to_owned());
    }
    Ok(())
}

fn check_rows(receipt: &Receipt, rows: usize, given: &'static str) -> Result<(), VerifyError> {
    if u64::try_from(rows) == Ok(receipt.usage.rows) { Ok(()) } else { Err(VerifyError::OtherRows(given)) }
}

fn check_closing(closing: &Closing, receipt: &Receipt, envelope: &Envelope) -> Result<(), VerifyError> {
    let agrees = |agrees, field| link(agrees, Part::Closing, field, "the receipt");
    agrees(closing.job_id == receipt.job_id, "job_id")?;
    agrees(closing.receipt_leaf_hash == envelope.leaf_hash(), "receipt_leaf_hash")?;
    if closing.outcome == Outcome::Settled && closing.amount_msat < receipt.price_msat {
        return Err(VerifyError::SettledBelowPrice);
    }
    Ok(())
}
