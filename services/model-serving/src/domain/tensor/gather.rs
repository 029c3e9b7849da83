//! Rows of several tensors as one, and back: what a batch is made of.

use super::{Tensor, TensorError};
use crate::domain::shape;

/// Joins tensors along their first dimension, in order.
///
/// They must agree in data type and in every other dimension. One copy, into memory of the right size from
/// the start; a single view of a message is not copied at all.
pub fn concat_rows(parts: &[&Tensor]) -> Result<Tensor, TensorError> {
    let (first, others) = match parts {
        [] => return Err(TensorError::NoRows),
        [only] => return rows_of(only).map(|_| (*only).clone()),
        [first, others @ ..] => (first, others),
    };
    let mut rows = rows_of(first)?;
    let row_shape = first.shape.get(1..).unwrap_or_default();
    for (part, other) in (1..).zip(others) {
        let alike = first.data.datatype() == other.data.datatype() && other.shape.get(1..) == Some(row_shape);
        if !alike {
            return Err(TensorError::Unlike { part });
        }
        rows = rows.checked_add(rows_of(other)?).ok_or(shape::ShapeError::Overflow)?;
    }
    let dimension = i64::try_from(rows).map_err(|_| shape::ShapeError::Overflow)?;
    let shape: Vec<i64> = std::iter::once(dimension).chain(row_shape.iter().copied()).collect();
    let count = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.data.len()));
    let data = super::TensorData::concat(&first.data, parts.iter().map(|part| &part.data), count);
    Tensor::try_new(shape, data)
}

/// Splits a tensor along its first dimension into tensors of `rows[i]` rows, in order.
///
/// The sum must be all the rows there are. Numbers are not copied: the pieces share the memory, which is freed
/// with the last of them. Strings are moved.
pub fn split_rows(tensor: Tensor, rows: &[usize]) -> Result<Vec<Tensor>, TensorError> {
    let actual = rows_of(&tensor)?;
    let wanted = rows.iter().fold(0_usize, |sum, rows| sum.saturating_add(*rows));
    if wanted != actual {
        return Err(TensorError::Rows { wanted, actual });
    }
    if rows.len() == 1 {
        return Ok(vec![tensor]);
    }
    let row_shape = tensor.shape.get(1..).unwrap_or_default().to_vec();
    let row_len = shape::element_count(&row_shape)?;
    let lengths: Vec<usize> = rows.iter().map(|rows| rows.saturating_mul(row_len)).collect();
    let pieces = rows.iter().zip(tensor.data.split(&lengths));
    pieces
        .map(|(rows, data)| {
            let dimension = i64::try_from(*rows).map_err(|_| shape::ShapeError::Overflow)?;
            let shape = std::iter::once(dimension).chain(row_shape.iter().copied()).collect();
            Tensor::try_new(shape, data)
        })
        .collect()
}

fn rows_of(tensor: &Tensor) -> Result<usize, TensorError> {
    let rows = tensor.shape.first().ok_or(TensorError::NoRows)?;
    usize::try_from(*rows).map_err(|_| TensorError::NoRows)
}

#[cfg(test)]
mod tests;
