//! Tries an embedding model out before it serves: a wrong `model.toml` fails here, not at the first customer.

use crate::cancel::CancelToken;
use crate::domain::datatype::Datatype;
use crate::domain::embedding::{EmbeddingError, agree, rows_of};
use crate::domain::manifest::EmbeddingManifest;
use crate::domain::signature::{Signature, TensorSpec};
use crate::domain::tensor::TensorError;
use crate::domain::text::{EncodedText, pad};
use crate::ports::{EncoderError, InferenceSession, SessionError, TextEncoder};

/// Two texts of unequal length, so that one of them is padded in a batch.
const SAMPLES: [&str; 2] = ["one", "two three four five six seven"];

/// The graph is not what `model.toml` says.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// A key names a tensor that is not there or has another type or rank.
    #[error("key '{key}': {message}")]
    Key {
        /// The key of `model.toml`.
        key: &'static str,
        /// What is wrong.
        message: String,
    },
    /// The tokenizer failed on a plain text.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The graph failed on a plain text.
    #[error("the first run failed")]
    Session(#[from] SessionError),
    /// The graph did not give what the manifest promises.
    #[error("key 'dimensions' or 'output'")]
    Embedding(#[from] EmbeddingError),
    /// A fault of ours.
    #[error(transparent)]
    Batch(#[from] TensorError),
}

/// Checks the tensors and runs two texts, alone and together.
///
/// Answers whether a padded row gives the same as the row alone; where it does not (graphs that scale by
/// the whole batch, for one), rows must not share a batch.
pub fn run(
    session: &mut dyn InferenceSession,
    encoder: &dyn TextEncoder,
    manifest: &EmbeddingManifest,
    cancel: &CancelToken,
) -> Result<bool, SelfTestError> {
    check_tensors(session.signature(), manifest)?;
    let encoded = SAMPLES.iter().map(|text| encoder.encode(text)).collect::<Result<Vec<_>, _>>()?;
    let mut embed = |rows: &[usize]| embed(session, &encoded, rows, manifest, cancel);
    let alone = [embed(&[0])?, embed(&[1])?].concat();
    let together = embed(&[0, 1])?;
    Ok(alone.iter().zip(&together).all(|(alone, together)| agree(alone, together)))
}

fn embed(
    session: &mut dyn InferenceSession,
    encoded: &[EncodedText],
    rows: &[usize],
    manifest: &EmbeddingManifest,
    cancel: &CancelToken,
) -> Result<Vec<Vec<f32>>, SelfTestError> {
    let inputs = pad(encoded, rows, manifest)?;
    let outputs = session.run(&inputs, std::slice::from_ref(&manifest.output), cancel)?;
    let output = outputs.into_iter().next();
    let output = output.ok_or_else(|| SessionError::Failed("the engine left an output out".into()))?;
    Ok(rows_of(output.tensor, rows.len(), manifest.dimensions)?)
}

fn check_tensors(signature: &Signature, manifest: &EmbeddingManifest) -> Result<(), SelfTestError> {
    let mut named = vec![("inputs.ids", &manifest.ids), ("inputs.mask", &manifest.mask)];
    named.extend(manifest.type_ids.as_ref().map(|name| ("inputs.type_ids", name)));
    for (key, name) in &named {
        check_matrix(key, name, signature.input(name), Datatype::Int64)?;
    }
    check_matrix("output", &manifest.output, signature.output(&manifest.output), Datatype::Fp32)?;
    let undeclared = signature.inputs.iter().find(|spec| !named.iter().any(|(_, name)| **name == spec.name));
    match undeclared {
        None => Ok(()),
        Some(spec) => {
            let message = format!("the graph also needs the input '{}', which no key names", spec.name);
            Err(SelfTestError::Key { key: "inputs", message })
        }
    }
}

fn check_matrix(
    key: &'static str,
    name: &str,
    spec: Option<&TensorSpec>,
    datatype: Datatype,
) -> Result<(), SelfTestError> {
    let error = |message| Err(SelfTestError::Key { key, message });
    match spec {
        None => error(format!("the graph has no tensor '{name}' there")),
        Some(spec) if spec.datatype != datatype => {
            error(format!("'{name}' is {}, not {datatype}", spec.datatype))
        }
        Some(spec) if spec.shape.len() != 2 => {
            error(format!("'{name}' has {} dimensions, not 2", spec.shape.len()))
        }
        Some(_) => Ok(()),
    }
}
