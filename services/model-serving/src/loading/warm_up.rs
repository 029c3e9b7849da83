//! Runs the samples that a model's files list, before it is ready.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::noise::{least_bytes, noise};
use crate::cancel::CancelToken;
use crate::domain::batch::pad_texts;
use crate::domain::manifest::EmbeddingManifest;
use crate::domain::settings::{ModelSettings, WarmUpData, WarmUpInput, WarmUpSample, WarmUpSource};
use crate::domain::shape::{ShapeError, element_count};
use crate::domain::tensor::{NamedTensor, RawError, Tensor, TensorData, TensorError};
use crate::ports::{EncoderError, InferenceSession, SessionError, TextEncoder};

/// A sample that could not be run.
#[derive(Debug, thiserror::Error)]
#[error("warm-up sample '{name}' failed")]
pub struct WarmUpError {
    /// The sample's name.
    name: String,
    /// Why.
    source: WarmUpFailure,
}

/// Why a sample could not be run.
#[derive(Debug, thiserror::Error)]
pub enum WarmUpFailure {
    /// Its text could not be tokenised.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// Its data are not what its shape and type promise.
    #[error(transparent)]
    Data(#[from] RawError),
    /// Its shape describes no tensor.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A fault of ours.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The engine failed.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// The noise is the same at every start.
const SEED: u32 = 1;
/// Whole numbers of the noise lie under it.
const MOST: u32 = 100;

/// What turns a sample's text into tensors.
pub type TextSide<'a> = Option<(&'a dyn TextEncoder, &'a EmbeddingManifest)>;

/// Runs every sample on every session, as often as it says. Blocks; ends with an error soon after the token is cancelled.
///
/// `files` are the samples' files by name.
pub fn run(
    sessions: &mut [Box<dyn InferenceSession>],
    settings: &ModelSettings,
    text: TextSide<'_>,
    files: &BTreeMap<String, Bytes>,
    cancel: &CancelToken,
) -> Result<(), WarmUpError> {
    for sample in &settings.warm_up {
        let failed = |source| WarmUpError { name: sample.name.clone(), source };
        let inputs = inputs(sample, settings, text, files).map_err(failed)?;
        for session in &mut *sessions {
            let outputs: Vec<String> =
                session.signature().outputs.iter().map(|spec| spec.name.clone()).collect();
            for _ in 0..sample.count {
                session.run(&inputs, &outputs, sample.rows, cancel).map_err(|error| failed(error.into()))?;
            }
        }
    }
    Ok(())
}

fn inputs(
    sample: &WarmUpSample,
    settings: &ModelSettings,
    text: TextSide<'_>,
    files: &BTreeMap<String, Bytes>,
) -> Result<Vec<NamedTensor>, WarmUpFailure> {
    match (&sample.data, text) {
        (WarmUpData::Tensors(inputs), _) => {
            let one = |input: &WarmUpInput| tensor(input, sample.rows, settings, files);
            inputs.iter().map(one).collect()
        }
        (WarmUpData::Text(words), Some((encoder, manifest))) => {
            let encoded = encoder.encode(words)?;
            Ok(pad_texts(&vec![&encoded; sample.rows], manifest)?)
        }
        // Refused when the settings were read.
        (WarmUpData::Text(_), None) => Ok(Vec::new()),
    }
}

fn tensor(
    input: &WarmUpInput,
    rows: usize,
    settings: &ModelSettings,
    files: &BTreeMap<String, Bytes>,
) -> Result<NamedTensor, WarmUpFailure> {
    let shape = settings.warm_up_shape(input, rows);
    let count = element_count(&shape)?;
    let bytes = match &input.source {
        WarmUpSource::Zero => vec![0; count.saturating_mul(least_bytes(input.datatype))],
        WarmUpSource::Random => noise(input.datatype, count, SEED, MOST),
        WarmUpSource::File(name) => files.get(name).map_or_else(Vec::new, |row| row.repeat(rows)),
    };
    let data = TensorData::from_raw(input.datatype, count, bytes.into())?;
    Ok(NamedTensor { name: input.name.clone(), tensor: Tensor::try_new(shape, data)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::datatype::Datatype;

    #[test]
    fn zeros_and_noise_are_tensors_of_every_type() {
        for datatype in Datatype::ALL {
            let zeros = vec![0; 6 * least_bytes(datatype)];
            assert!(TensorData::from_raw(datatype, 6, zeros.into()).is_ok(), "{datatype}");
            let noise = TensorData::from_raw(datatype, 6, noise(datatype, 6, SEED, MOST).into()).unwrap();
            assert_eq!(noise.first_non_finite(), None, "{datatype}");
        }
    }
}
