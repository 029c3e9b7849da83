//! What the buyer gets for the money: the right answer, and a proof that needs nobody's word.

use std::path::Path;

use ailayer_client::gateway::Output;
use ailayer_receipt::digest::embed_output_rows;
use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use crate::stage::Stage;
use crate::stage::chain::Anchored;

/// Computed by other code than the model's graph.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/models/all-minilm-l6-v2/golden.json");
const MIN_COSINE: f64 = 0.9999;
/// "Something that should verify does not", by `ailayer --help`.
const NOT_VERIFIED: i32 = 4;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<GoldenCase>,
}

#[derive(Deserialize)]
struct GoldenCase {
    text: String,
    tokens: u32,
    embedding: Vec<f64>,
}

/// Ten sentences bought in one job, against the reference.
pub async fn a_paid_answer_is_the_right_one(stage: &Stage) -> anyhow::Result<()> {
    let golden: Golden = serde_json::from_slice(&std::fs::read(GOLDEN)?)?;
    ensure!(golden.cases.len() >= 10, "too few sentences to compare");
    let texts: Vec<&str> = golden.cases.iter().map(|case| case.text.as_str()).collect();
    let deal = stage.quote_for(stage.order(&texts)).await?;
    let tokens: u32 = golden.cases.iter().map(|case| case.tokens).sum();
    ensure!(deal.offer.input_tokens == u64::from(tokens), "{} tokens were counted", deal.offer.input_tokens);
    stage.pay(&deal).await?;
    let settled = stage.expect_settled(&deal).await?;
    let Output::Rows(rows) = settled.answer.delivered.output() else { bail!("no embeddings") };
    for (row, case) in rows.iter().zip(&golden.cases) {
        let cosine = cosine(&row.values, &case.embedding)?;
        ensure!(cosine >= MIN_COSINE, "{:?}: the cosine is {cosine}", case.text);
        ensure!(row.input_tokens == case.tokens && !row.truncated, "{:?}: other tokens", case.text);
    }
    ensure!(settled.receipt.usage.input_tokens == u64::from(tokens), "the receipt counts other tokens");
    ensure!(settled.receipt.output_digest == embed_output_rows(rows)?, "another answer");
    // Fetched again, it is the same to the last bit.
    let again = stage.gateway.result(deal.key()).await?;
    ensure!(again == settled.answer, "the answer has changed");
    Ok(())
}

fn cosine(ours: &[f32], reference: &[f64]) -> anyhow::Result<f64> {
    ensure!(ours.len() == reference.len(), "{} numbers instead of {}", ours.len(), reference.len());
    let ours: Vec<f64> = ours.iter().copied().map(f64::from).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    Ok(dot(&ours, reference) / (dot(&ours, &ours) * dot(reference, reference)).sqrt())
}

/// `ailayer verify` with everything pinned, in an empty environment; then with each pin wrong.
pub async fn a_bundle_verifies_offline(stage: &Stage) -> anyhow::Result<()> {
    let anchored = stage.bundle().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bundle.json");
    std::fs::write(&file, &anchored.bundle)?;
    let pins = pins(stage, anchored);
    let done = verify(stage, &file, &pins).await?;
    ensure!(done.code == Some(0), "it does not verify: {}", done.stderr);
    for word in ["verified", "SETTLED", "regtest", &stage.seller.log_verification_key[..8]] {
        ensure!(done.stdout.contains(word), "no word of {word}: {}", done.stdout);
    }
    let json = verify(stage, &file, &[&["--json".to_owned()], &*pins].concat()).await?;
    ensure!(json.code == Some(0), "with --json: {}", json.stderr);
    let report: Value = serde_json::from_str(&json.stdout).context("--json printed something else")?;
    ensure!(report.is_object(), "--json printed {report}");

    let other_text = ["--text", "another text"].map(str::to_owned);
    let other_network = ["--network", "signet"].map(str::to_owned);
    let other_key =
        ["--gateway-key", "ed25519:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="].map(str::to_owned);
    let many_confirmations = ["--min-confirmations", "1000"].map(str::to_owned);
    for (word, arguments) in [
        ("request_digest", &other_text),
        ("network", &other_network),
        ("confirmations", &many_confirmations),
        ("gateway", &other_key),
    ] {
        let done = verify(stage, &file, arguments).await?;
        ensure!(done.code != Some(0), "{arguments:?}: it verifies");
        ensure!(done.stderr.contains(word), "{arguments:?}: no word of {word}: {}", done.stderr);
    }
    Ok(())
}

/// Each value of the real bundle altered in turn, each key removed in turn: refused, and the message names the part.
pub async fn every_altered_field_is_named(stage: &Stage) -> anyhow::Result<()> {
    let anchored = stage.bundle().await?;
    let bundle: Value = serde_json::from_str(&anchored.bundle)?;
    let mut paths = Vec::new();
    walk(&bundle, &mut Vec::new(), &mut paths);
    ensure!(paths.len() >= 25, "the walk has found {} values only", paths.len());
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("altered.json");
    let mut seen = std::collections::BTreeSet::new();
    for path in &paths {
        let mut altered = bundle.clone();
        let value =
            path.iter().try_fold(&mut altered, |value, step| step.of(value)).context("a path to nowhere")?;
        alter(value);
        refused(stage, &file, &altered, path.first()).await?;
        if let Some(Step::Key(key)) = path.first()
            && seen.insert(key.clone())
        {
            let mut removed = bundle.clone();
            removed.as_object_mut().context("the bundle is no object")?.remove(key);
            refused(stage, &file, &removed, path.first()).await?;
        }
    }
    for key in ["quote", "receipt", "closing", "receipt_proof", "closing_proof", "checkpoint", "anchor"] {
        ensure!(seen.contains(key), "the real bundle has no {key}");
    }
    Ok(())
}

async fn refused(stage: &Stage, file: &Path, bundle: &Value, key: Option<&Step>) -> anyhow::Result<()> {
    let Some(Step::Key(key)) = key else { bail!("the bundle is no object") };
    std::fs::write(file, serde_json::to_vec(bundle)?)?;
    let done = verify(stage, file, &[]).await?;
    ensure!(done.code == Some(NOT_VERIFIED), "{key} altered: exit code {:?}: {}", done.code, done.stdout);
    ensure!(done.stderr.trim().lines().count() == 1, "{key} altered: not one line: {}", done.stderr);
    // A proof without its closing entry, and the other way round, is named by either.
    ensure!(done.stderr.contains(key.trim_end_matches("_proof")), "{key} altered: {}", done.stderr);
    Ok(())
}

#[derive(Debug, Clone)]
enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn of<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        match self {
            Self::Key(key) => value.get_mut(key),
            Self::Index(index) => value.get_mut(*index),
        }
    }
}

/// The paths of all texts and numbers.
fn walk(value: &Value, path: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let mut enter = |step: Step, inner: &Value, path: &mut Vec<Step>| {
        path.push(step);
        walk(inner, path, found);
        path.pop();
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| enter(Step::Key(key.clone()), inner, path)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, inner)| enter(Step::Index(index), inner, path));
        }
        _ => found.push(path.clone()),
    }
}

/// Another value of the same kind: one digit, letter or number further, in the middle of texts.
fn alter(value: &mut Value) {
    *value = match &*value {
        Value::String(text) => {
            let middle = text.chars().count() / 2;
            let shifted = |(at, c): (usize, char)| match c {
                _ if at != middle => c,
                '0'..='8' | 'a'..='y' | 'A'..='Y' => char::from_u32(u32::from(c) + 1).unwrap_or('0'),
                '9' => '0',
                _ => 'a',
            };
            Value::String(text.chars().enumerate().map(shifted).collect())
        }
        Value::Number(number) => Value::from(number.as_u64().unwrap_or(0) + 1),
        other => other.clone(),
    };
}

fn pins(stage: &Stage, anchored: &Anchored) -> Vec<String> {
    let mut pins = vec!["--network".to_owned(), "regtest".to_owned()];
    pins.extend(["--gateway-key".to_owned(), stage.seller.gateway_key.to_string()]);
    pins.extend(["--log-key".to_owned(), stage.seller.log_verification_key.clone()]);
    pins.extend(anchored.texts.iter().flat_map(|text| ["--text".to_owned(), text.clone()]));
    pins
}

struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs the program with nothing in its environment: it has nobody to ask.
async fn verify(stage: &Stage, file: &Path, arguments: &[String]) -> anyhow::Result<Done> {
    let mut command = Command::new(stage.binary.path());
    let done = command.env_clear().arg("verify").arg(file).args(arguments).output().await?;
    Ok(Done {
        code: done.status.code(),
        stdout: String::from_utf8(done.stdout)?,
        stderr: String::from_utf8(done.stderr)?,
    })
}
