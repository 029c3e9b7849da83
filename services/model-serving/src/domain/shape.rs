//! Arithmetic on shapes that came from outside.

use super::datatype::Datatype;

/// A shape that describes no tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A dimension is below zero.
    #[error("dimension {index} is negative")]
    Negative {
        /// The position of the dimension, from 0.
        index: usize,
    },
    /// The product of the dimensions does not fit the address space.
    #[error("the number of elements overflows")]
    Overflow,
}

/// The bytes of a string's length, raw.
const STRING_PREFIX: usize = 4;

/// The product of the dimensions; 1 for a scalar.
pub fn element_count(shape: &[i64]) -> Result<usize, ShapeError> {
    let mut count = 1_usize;
    for (index, dimension) in shape.iter().enumerate() {
        if *dimension < 0 {
            return Err(ShapeError::Negative { index });
        }
        let dimension = usize::try_from(*dimension).map_err(|_| ShapeError::Overflow)?;
        count = count.checked_mul(dimension).ok_or(ShapeError::Overflow)?;
    }
    Ok(count)
}

/// The bytes a tensor of this shape fills, raw; for strings the least they fill, which is their lengths.
pub fn byte_count(shape: &[i64], datatype: Datatype) -> Result<usize, ShapeError> {
    let size = datatype.size().unwrap_or(STRING_PREFIX);
    element_count(shape)?.checked_mul(size).ok_or(ShapeError::Overflow)
}

/// True if the shape has the declared rank and sizes; -1 in the declaration takes any size.
pub fn fits(declared: &[i64], shape: &[i64]) -> bool {
    declared.len() == shape.len()
        && declared.iter().zip(shape).all(|(declared, actual)| *declared < 0 || declared == actual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_without_overflow() {
        assert_eq!(element_count(&[]), Ok(1));
        assert_eq!(element_count(&[2, 3, 4]), Ok(24));
        assert_eq!(element_count(&[2, 0]), Ok(0));
        assert_eq!(element_count(&[1, -1]), Err(ShapeError::Negative { index: 1 }));
        assert_eq!(element_count(&[i64::MAX, i64::MAX]), Err(ShapeError::Overflow));
        assert_eq!(element_count(&[i64::MAX, i64::MAX, 0]), Err(ShapeError::Overflow));
        assert_eq!(byte_count(&[1 << 61], Datatype::Fp64), Err(ShapeError::Overflow));
    }

    #[test]
    fn minus_one_takes_any_size() {
        assert!(fits(&[-1, 4], &[7, 4]));
        assert!(!fits(&[-1, 4], &[7, 5]));
        assert!(!fits(&[-1, 4], &[4]));
        assert!(fits(&[], &[]));
    }
}
