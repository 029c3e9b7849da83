//! Tries an embedding model out before it serves: a wrong `model.toml` fails here, not at the first customer.

use crate::cancel::CancelToken;
use crate::domain::batch::{pad_texts, width_of};
use crate::domain::datatype::Datatype;
use crate::domain::embedding::{EmbeddingError, agree, vectors_of};
use crate::domain::manifest::EmbeddingManifest;
use crate::domain::pooling::Pooling;
use crate::domain::signature::{Signature, TensorSpec};
use crate::domain::tensor::TensorError;
use crate::domain::text::EncodedText;
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
    let texts: Vec<&EncodedText> = encoded.iter().collect();
    let mut embed = |texts: &[&EncodedText]| embed(session, texts, manifest, cancel);
    let together = embed(&texts)?;
    let mut alone = Vec::with_capacity(texts.len());
    for text in texts {
        alone.extend(embed(&[text])?);
    }
    Ok(alone.iter().zip(&together).all(|(alone, together)| agree(alone, together)))
}

fn embed(
    session: &mut dyn InferenceSession,
    texts: &[&EncodedText],
    manifest: &EmbeddingManifest,
    cancel: &CancelToken,
) -> Result<Vec<Vec<f32>>, SelfTestError> {
    let inputs = pad_texts(texts, manifest)?;
    let outputs = session.run(&inputs, std::slice::from_ref(&manifest.output), texts.len(), cancel)?;
    let output = outputs.into_iter().next();
    let output = output.ok_or_else(|| SessionError::Failed("the engine left an output out".into()))?;
    let tokens: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
    let vectors = vectors_of(output.tensor, &tokens, width_of(texts), manifest)?;
    Ok(vectors.into_iter().collect::<Result<_, _>>()?)
}

/// The most tokens of a batch, padding included, whose output is within `max_output_bytes`.
///
/// A graph that pools gives little whatever it reads; one that gives a vector a token must not be asked for more than the
/// engine's outputs may hold, and one longest text must fit.
pub fn most_tokens(manifest: &EmbeddingManifest, max_output_bytes: usize) -> Result<usize, SelfTestError> {
    if manifest.pooling == Pooling::None {
        return Ok(usize::MAX);
    }
    let token_bytes = manifest.dimensions.saturating_mul(size_of::<f32>()).max(1);
    match max_output_bytes.checked_div(token_bytes).unwrap_or_default() {
        most if most >= manifest.max_input_tokens => Ok(most),
        most => {
            let message =
                format!("the service's max_inference_message_bytes holds the vectors of {most} tokens");
            Err(SelfTestError::Key { key: "max_input_tokens", message })
        }
    }
}

fn check_tensors(signature: &Signature, manifest: &EmbeddingManifest) -> Result<(), SelfTestError> {
    let mut named = vec![("inputs.ids", &manifest.ids), ("inputs.mask", &manifest.mask)];
    named.extend(manifest.type_ids.as_ref().map(|name| ("inputs.type_ids", name)));
    for (key, name) in &named {
        let spec = check_tensor(key, name, signature.input(name), Datatype::Int64)?;
        check_rank(key, spec, 2, "")?;
    }
    let output =
        check_tensor("output", &manifest.output, signature.output(&manifest.output), Datatype::Fp32)?;
    match (manifest.pooling, output.shape.len()) {
        (Pooling::None, _) => {
            check_rank("output", output, 2, "; a graph that gives a vector a token needs the key 'pooling'")?
        }
        (_, 2) => check_rank("pooling", output, 3, ": the graph pools by itself")?,
        (_, _) => check_rank("output", output, 3, "")?,
    }
    check_dimensions(output, manifest.dimensions)?;
    let undeclared = signature.inputs.iter().find(|spec| !named.iter().any(|(_, name)| **name == spec.name));
    match undeclared {
        None => Ok(()),
        Some(spec) => {
            let message = format!("the graph also needs the input '{}', which no key names", spec.name);
            Err(SelfTestError::Key { key: "inputs", message })
        }
    }
}

fn check_tensor<'a>(
    key: &'static str,
    name: &str,
    spec: Option<&'a TensorSpec>,
    datatype: Datatype,
) -> Result<&'a TensorSpec, SelfTestError> {
    let error = |message| Err(SelfTestError::Key { key, message });
    match spec {
        None => error(format!("the graph has no tensor '{name}' there")),
        Some(spec) if spec.datatype != datatype => {
            error(format!("'{name}' is {}, not {datatype}", spec.datatype))
        }
        Some(spec) => Ok(spec),
    }
}

fn check_rank(key: &'static str, spec: &TensorSpec, rank: usize, hint: &str) -> Result<(), SelfTestError> {
    if spec.shape.len() == rank {
        return Ok(());
    }
    let message = format!("'{}' has {} dimensions, not {rank}{hint}", spec.name, spec.shape.len());
    Err(SelfTestError::Key { key, message })
}

/// The last dimension of the output, where the graph says it.
fn check_dimensions(output: &TensorSpec, dimensions: usize) -> Result<(), SelfTestError> {
    match output.shape.last() {
        Some(said) if *said >= 0 && usize::try_from(*said) != Ok(dimensions) => {
            let message = format!("'{}' has {said} numbers, not {dimensions}", output.name);
            Err(SelfTestError::Key { key: "dimensions", message })
        }
        _ => Ok(()),
    }
}
