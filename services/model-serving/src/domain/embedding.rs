//! From a graph's output to embeddings.

use super::input_error::InputError;
use super::manifest::EmbeddingManifest;
use super::pooling::{Pooling, narrowed, pool};
use super::tensor::{Tensor, TensorData};

/// An output that is no set of embeddings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// Another shape or data type than the manifest promises.
    #[error("the output is {actual}, expected FP32 {expected:?}")]
    Output {
        /// What the graph gave.
        actual: String,
        /// What the manifest promises: `[texts, dimensions]`, or where tokens are pooled `[texts, tokens, dimensions]`.
        expected: Vec<i64>,
    },
    /// A number is NaN or infinite.
    #[error("the embedding in row {row} is not finite")]
    NotFinite {
        /// The row of the batch.
        row: usize,
    },
}

/// One vector a row, of the manifest's dimensions; a row whose numbers are not all finite fails alone.
///
/// `tokens` are the real tokens of each row, `width` is what all rows were padded to.
pub fn vectors_of(
    output: Tensor,
    tokens: &[usize],
    width: usize,
    manifest: &EmbeddingManifest,
) -> Result<Vec<Result<Vec<f32>, EmbeddingError>>, EmbeddingError> {
    let EmbeddingManifest { dimensions, pooling, padding_side, .. } = *manifest;
    let expected = match pooling {
        Pooling::None => vec![tokens.len(), dimensions],
        Pooling::Mean | Pooling::Cls | Pooling::Last => vec![tokens.len(), width, dimensions],
    };
    let expected: Vec<i64> =
        expected.into_iter().map(|size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
    let (shape, data) = output.into_parts();
    let values = match data {
        TensorData::Fp32(values) if shape == expected => values.into_vec(),
        other => {
            let actual = format!("{} {shape:?}", other.datatype());
            return Err(EmbeddingError::Output { actual, expected });
        }
    };
    let vectors = match pooling {
        Pooling::None => values.chunks(dimensions.max(1)).map(<[f32]>::to_vec).collect(),
        pooling => pool(pooling, &values, tokens, width, dimensions, padding_side),
    };
    let finite = |(row, vector): (usize, Vec<f32>)| match vector.iter().all(|value| value.is_finite()) {
        true => Ok(vector),
        false => Err(EmbeddingError::NotFinite { row }),
    };
    Ok(vectors.into_iter().enumerate().map(finite).collect())
}

/// What a caller wants of each vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VectorForm {
    /// Scaled to length 1 or not; none leaves it to the model.
    pub normalize: Option<bool>,
    /// Only the first so many numbers; none for all.
    pub dimensions: Option<usize>,
}

impl VectorForm {
    /// Refuses more numbers than a vector has, and none at all.
    pub fn check(&self, manifest: &EmbeddingManifest) -> Result<(), InputError> {
        match self.dimensions {
            Some(dimensions) if !(1..=manifest.dimensions).contains(&dimensions) => Err(InputError::Value {
                field: "dimensions".to_owned(),
                detail: format!("{dimensions} is not in 1..={}", manifest.dimensions),
            }),
            _ => Ok(()),
        }
    }

    /// Cuts, then normalises.
    pub fn apply(&self, vector: &mut Vec<f32>, manifest: &EmbeddingManifest) {
        vector.truncate(self.dimensions.unwrap_or(usize::MAX));
        if self.normalize.unwrap_or(manifest.normalize) {
            normalize(vector);
        }
    }
}

/// Scales a vector to the Euclidean length 1. Zeros have no direction and stay as they are.
///
/// In f64, where the square of no f32 overflows or vanishes.
fn normalize(vector: &mut [f32]) {
    let length = euclidean(vector.iter().map(|value| f64::from(*value)));
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value = narrowed(f64::from(*value) / length));
    }
}

fn euclidean(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// The largest difference, relative to the length of the vector, that padding a row may make.
const PADDING_TOLERANCE: f64 = 1e-4;

/// True if two vectors are the same but for rounding: results differ in their last bits with the size of the batch.
pub fn agree(a: &[f32], b: &[f32]) -> bool {
    let difference = euclidean(a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let scale = euclidean(a.iter().map(|value| f64::from(*value)));
    a.len() == b.len() && difference <= scale * PADDING_TOLERANCE
}

#[cfg(test)]
mod tests;
