//! Runs the samples that a model's files list, before it is ready.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::cancel::CancelToken;
use crate::domain::batch::pad_texts;
use crate::domain::datatype::Datatype;
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
                session.run(&inputs, &outputs, cancel).map_err(|error| failed(error.into()))?;
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
        WarmUpSource::Random => noise(input.datatype, count),
        WarmUpSource::File(name) => files.get(name).map_or_else(Vec::new, |row| row.repeat(rows)),
    };
    let data = TensorData::from_raw(input.datatype, count, bytes.into())?;
    Ok(NamedTensor { name: input.name.clone(), tensor: Tensor::try_new(shape, data)? })
}

/// The bytes of a zero; of a string, those that say its length.
fn least_bytes(datatype: Datatype) -> usize {
    datatype.size().unwrap_or(4)
}

/// The same elements at every start: whole numbers under 100, floating-point numbers from 0.5 to 1, strings of a digit.
fn noise(datatype: Datatype, count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut bytes = Vec::new();
    for _ in 0..count {
        // Marsaglia's xorshift: any noise will do.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let fraction = f64::from(state) / f64::from(u32::MAX);
        let whole = state % 100;
        match datatype {
            Datatype::Bool => bytes.push(u8::from(whole < 50)),
            // The exponent of 0.5, any mantissa.
            Datatype::Fp16 => bytes.extend((0x3800_u16 | (whole as u16)).to_le_bytes()),
            Datatype::Bf16 => bytes.extend((0x3f00_u16 | (whole as u16)).to_le_bytes()),
            Datatype::Fp32 => bytes.extend((0.5 + f32::from(whole as u16) / 200.0).to_le_bytes()),
            Datatype::Fp64 => bytes.extend((0.5 + fraction / 2.0).to_le_bytes()),
            Datatype::Bytes => bytes.extend([1, 0, 0, 0, b'0'.saturating_add((whole % 10) as u8)]),
            integer => bytes.extend(u64::from(whole).to_le_bytes().into_iter().take(least_bytes(integer))),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_noise_are_tensors_of_every_type() {
        for datatype in Datatype::ALL {
            let zeros = vec![0; 6 * least_bytes(datatype)];
            assert!(TensorData::from_raw(datatype, 6, zeros.into()).is_ok(), "{datatype}");
            let noise = TensorData::from_raw(datatype, 6, noise(datatype, 6).into()).unwrap();
            assert_eq!(noise.first_non_finite(), None, "{datatype}");
        }
    }
}
