//! `ailayer verify BUNDLE`: the offline check.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use ailayer_primitives::Digest;
use ailayer_receipt::bundle::MAX_BUNDLE_BYTES;
use ailayer_receipt::verify::{KnownOutput, Report, Trust, verify_json};
use ailayer_tlog::note::Verifier;

use crate::args::VerifyArgs;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::tensors;

/// The largest answer that is read: a gateway's largest message in digits, and some.
const MAX_ANSWER_BYTES: u64 = 1 << 28;

/// Verifies the bundle and prints what it proves; fails with exit code 4 and the name of what is wrong.
pub fn run(args: &VerifyArgs, out: &Output) -> Result<(), Failure> {
    let trust = trust(args)?;
    let json = read(&args.bundle)?;
    let report = verify_json(&json, &trust)
        .map_err(|error| Failure::new(Exit::Verification, format_args!("not verified: {error}")))?;
    out.result(&report, describe(&report));
    Ok(())
}

fn trust(args: &VerifyArgs) -> Result<Trust, Failure> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(Exit::Configuration, format!("{what}: {error}"))
    };
    let gateway_key = args.gateway_key.as_deref().map(str::parse).transpose();
    let log_key = args.log_key.as_deref().map(Verifier::parse).transpose();
    Ok(Trust {
        gateway_key: gateway_key.map_err(|error| wrong("--gateway-key", &error))?,
        log_key: log_key.map_err(|error| wrong("--log-key", &error))?,
        network: args.network,
        min_confirmations: args.min_confirmations,
        trusted_block: args.trusted_block,
        request_texts: (!args.texts.is_empty()).then(|| args.texts.clone()),
        request_tensors: args.tensors.as_deref().map(tensors::read_request).transpose()?,
        output: args.answer.as_deref().map(read_answer).transpose()?,
        sealed_digest: args.sealed.as_deref().map(digest_of_ciphertext).transpose()?,
    })
}

/// The answer that `ailayer buy` saved: a list of vectors, or an object with tensors.
fn read_answer(path: &Path) -> Result<KnownOutput, Failure> {
    let json = read_bounded("--answer", path)?;
    if json.trim_ascii_start().starts_with(b"{") {
        let tensors = tensors::read_outputs(&json);
        return tensors.map(KnownOutput::Tensors).map_err(|why| wrong_file("--answer", path, &why));
    }
    let rows = serde_json::from_slice(&json);
    rows.map(KnownOutput::Rows).map_err(|error| wrong_file("--answer", path, &error))
}

/// Of the ciphertext that `ailayer buy --sealed` saved.
fn digest_of_ciphertext(path: &Path) -> Result<Digest, Failure> {
    read_bounded("--sealed", path).map(|bytes| Digest::sha256(&bytes))
}

fn read_bounded(argument: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| wrong_file(argument, path, error);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    file.take(MAX_ANSWER_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_ANSWER_BYTES {
        return Err(wrong(&format_args!("more than {MAX_ANSWER_BYTES} bytes")));
    }
    Ok(bytes)
}

fn wrong_file(argument: &str, path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Configuration, format!("{argument} {}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let cannot =
        |error: std::io::Error| Failure::new(Exit::Configuration, format!("{}: {error}", path.display()));
    // One byte more than allowed is enough to be refused; a larger file is never read whole.
    let limit = u64::try_from(MAX_BUNDLE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut json = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut json).map_err(cannot)?;
    } else {
        std::fs::File::open(path).map_err(cannot)?.take(limit).read_to_end(&mut json).map_err(cannot)?;
    }
    Ok(json)
}

/// The report for people.
pub fn describe(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |text_line: String| {
        let _ = writeln!(text, "{text_line}");
    };
    line("verified".to_owned());
    for check in &report.checks {
        line(format!("  ✓ {check}"));
    }
    let receipt = &report.receipt;
    line(format!("job          {}", receipt.job_id));
    line(format!(
        "model        {} version {} sha256 {}",
        receipt.model.name, receipt.model.version, receipt.model.digest
    ));
    let metered = crate::buy::metered(receipt.usage.input_tokens, receipt.usage.tensor_bytes);
    line(format!("price        {}, {metered}", receipt.price_msat));
    line(format!("outcome      {}", report.ending));
    if let (Some(seal), Some(digest)) = (report.quote.seal, receipt.sealed_digest) {
        line(format!("sealed       to {}", seal.buyer_key));
        line(format!("             by {}, ciphertext sha256 {digest}", seal.gateway_key));
    }
    line(format!(
        "log          {} entry {} of {}",
        report.origin, report.receipt_leaf_index, report.tree_size
    ));
    line(format!("anchor       transaction {}", report.txid));
    let height = report.block_height.map(|height| format!(" at height {height}")).unwrap_or_default();
    line(format!("             block {}{height}, {} confirmations", report.block_hash, report.confirmations));
    let pinned = if report.pinned.is_empty() { "nothing".to_owned() } else { report.pinned.join(", ") };
    line(format!("pinned       {pinned}"));
    for open in &report.not_pinned {
        line(format!("not pinned   {open}"));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests;
