//! From a graph's output to embeddings.

use super::tensor::{Tensor, TensorData};

/// An output that is no set of embeddings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingError {
    /// Another shape or data type than the manifest promises.
    #[error("the output is {actual}, expected FP32 [{rows}, {dimensions}]")]
    Output {
        /// What the graph gave.
        actual: String,
        /// The texts of the batch.
        rows: usize,
        /// What the manifest promises.
        dimensions: usize,
    },
    /// A number is NaN or infinite.
    #[error("the embedding in row {row} is not finite")]
    NotFinite {
        /// The row of the batch.
        row: usize,
    },
}

/// Splits `[rows, dimensions]` into rows; refuses numbers that are not finite.
pub fn rows_of(output: Tensor, rows: usize, dimensions: usize) -> Result<Vec<Vec<f32>>, EmbeddingError> {
    let (shape, data) = output.into_parts();
    let expected = [rows, dimensions].map(|size| i64::try_from(size).unwrap_or(i64::MAX));
    let values = match data {
        TensorData::Fp32(values) if shape == expected => values.into_vec(),
        other => {
            let actual = format!("{} {shape:?}", other.datatype());
            return Err(EmbeddingError::Output { actual, rows, dimensions });
        }
    };
    let embeddings: Vec<Vec<f32>> = values.chunks(dimensions.max(1)).map(<[f32]>::to_vec).collect();
    match embeddings.iter().position(|row| !row.iter().all(|value| value.is_finite())) {
        Some(row) => Err(EmbeddingError::NotFinite { row }),
        None => Ok(embeddings),
    }
}

/// The largest difference, relative to the length of the vector, that padding a row may make.
const PADDING_TOLERANCE: f64 = 1e-4;

/// True if two vectors are the same but for rounding: results differ in their last bits with the size of the batch.
pub fn agree(a: &[f32], b: &[f32]) -> bool {
    let length =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let difference = length(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let scale = length(&mut a.iter().map(|value| f64::from(*value)));
    a.len() == b.len() && difference <= scale * PADDING_TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: [i64; 2], values: &[f32]) -> Tensor {
        Tensor::try_new(shape.to_vec(), values.to_vec().into()).unwrap()
    }

    #[test]
    fn splits_rows() {
        let rows = rows_of(tensor([2, 2], &[1.0, 2.0, 3.0, 4.0]), 2, 2).unwrap();
        assert_eq!(rows, [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn refuses_what_is_not_finite_or_not_promised() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = rows_of(tensor([2, 1], &[1.0, bad]), 2, 1).unwrap_err();
            assert_eq!(error, EmbeddingError::NotFinite { row: 1 });
        }
        assert!(matches!(rows_of(tensor([1, 2], &[1.0, 2.0]), 2, 1), Err(EmbeddingError::Output { .. })));
    }

    #[test]
    fn rounding_is_agreement() {
        assert!(agree(&[1.0, -2.0], &[1.000_01, -2.0]));
        assert!(agree(&[0.0], &[0.0]));
        assert!(!agree(&[1.0, -2.0], &[1.01, -2.0]));
        assert!(!agree(&[1.0], &[1.0, 0.0]));
        assert!(!agree(&[f32::NAN], &[f32::NAN]));
    }
}
