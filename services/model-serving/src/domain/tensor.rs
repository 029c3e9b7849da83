//! A tensor whose shape and contents agree.

use super::shape::{self, ShapeError};

pub use data::{RawError, TensorData};
pub use element::Element;
pub use gather::{concat_rows, split_rows};
pub use values::Values;

mod agree;
mod data;
mod element;
mod gather;
mod pad;
mod strings;
mod values;

/// Values with a shape: no dimension is negative and their product is the number of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<i64>,
    data: TensorData,
}

/// The shape does not describe the values, or tensors do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The shape describes nothing.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The shape describes another number of values.
    #[error("the shape has {expected} elements, the contents have {actual}")]
    Length {
        /// The product of the dimensions.
        expected: usize,
        /// The number of values.
        actual: usize,
    },
    /// There is no first dimension to join or split along, or nothing to join.
    #[error("the tensor has no rows")]
    NoRows,
    /// Tensors of different data types or row shapes cannot be joined.
    #[error("part {part} has rows of another kind than the first")]
    Unlike {
        /// The position of the part, from 0.
        part: usize,
    },
    /// The rows to split into are not the rows there are.
    #[error("{wanted} rows wanted of a tensor that has {actual}")]
    Rows {
        /// The sum of the rows asked for.
        wanted: usize,
        /// The first dimension.
        actual: usize,
    },
}

impl Tensor {
    /// Joins a shape with its values.
    pub fn try_new(shape: Vec<i64>, data: TensorData) -> Result<Self, TensorError> {
        let expected = shape::element_count(&shape)?;
        if expected != data.len() {
            return Err(TensorError::Length { expected, actual: data.len() });
        }
        Ok(Self { shape, data })
    }

    /// The dimensions, none negative.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// The values.
    pub const fn data(&self) -> &TensorData {
        &self.data
    }

    /// The shape and the values.
    pub fn into_parts(self) -> (Vec<i64>, TensorData) {
        (self.shape, self.data)
    }

    /// The bytes of the values as they go over the wire, length prefixes of strings included.
    pub fn byte_len(&self) -> usize {
        self.data.byte_len()
    }
}

/// A tensor under the name the graph knows it by.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// The name.
    pub name: String,
    /// The tensor.
    pub tensor: Tensor,
}

#[cfg(test)]
mod tests;
