//! One dimension made longer, or shorter again.

use super::{Tensor, TensorError};
use crate::domain::settings::{PadFill, PadSide};
use crate::domain::shape;

/// How a tensor lies in memory around one of its dimensions: `blocks` times `length` times `size` values.
#[derive(Debug, Clone, Copy)]
struct Blocks {
    blocks: usize,
    length: usize,
    size: usize,
}

/// What a dimension becomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resize<T> {
    at: Blocks,
    length: usize,
    side: PadSide,
    /// What padding is; none repeats the nearest piece.
    fill: Option<T>,
}

impl Tensor {
    /// The tensor with its dimension `axis` made `length` long, by padding on a side. Copies once.
    pub fn widened(
        &self,
        axis: usize,
        length: usize,
        side: PadSide,
        fill: PadFill,
    ) -> Result<Self, TensorError> {
        let fill = match fill {
            PadFill::Value(value) => Some(value),
            PadFill::Mask => Some(0.0),
            PadFill::Position => None,
        };
        self.resized(axis, length, side, fill)
    }

    /// The tensor with its dimension `axis` cut to `length`; what lies on `side` goes. Copies once.
    pub fn trimmed(&self, axis: usize, length: usize, side: PadSide) -> Result<Self, TensorError> {
        self.resized(axis, length, side, None)
    }

    fn resized(
        &self,
        axis: usize,
        length: usize,
        side: PadSide,
        fill: Option<f64>,
    ) -> Result<Self, TensorError> {
        let (before, after) = self.shape.split_at_checked(axis).ok_or(TensorError::NoRows)?;
        let (current, after) = after.split_first().ok_or(TensorError::NoRows)?;
        let at = Blocks {
            blocks: shape::element_count(before)?,
            length: usize::try_from(*current).map_err(|_| shape::ShapeError::Overflow)?,
            size: shape::element_count(after)?,
        };
        let dimension = i64::try_from(length).map_err(|_| shape::ShapeError::Overflow)?;
        let resized: Vec<i64> =
            before.iter().copied().chain([dimension]).chain(after.iter().copied()).collect();
        shape::element_count(&resized)?;
        Self::try_new(resized, self.data.resized(&Resize { at, length, side, fill }))
    }
}

impl<T: Copy> Resize<T> {
    /// The same with another type's padding.
    pub(super) fn with_fill<U>(&self, fill: impl Fn(T) -> U) -> Resize<U> {
        Resize { at: self.at, length: self.length, side: self.side, fill: self.fill.map(fill) }
    }
}

impl<T: Clone> Resize<T> {
    /// Copies every block, longer or shorter. Where there is nothing to repeat, `zero` pads.
    pub(super) fn apply(&self, values: &[T], zero: &T) -> Vec<T> {
        let Blocks { blocks, length, size } = self.at;
        let kept = length.min(self.length).saturating_mul(size);
        let padding = self.length.saturating_sub(length);
        let mut resized = Vec::with_capacity(blocks.saturating_mul(self.length).saturating_mul(size));
        for index in 0..blocks {
            let start = index.saturating_mul(length).saturating_mul(size);
            let block = values.get(start..).unwrap_or_default();
            let block = block.get(..length.saturating_mul(size)).unwrap_or_default();
            match self.side {
                PadSide::Right => {
                    let kept = block.get(..kept).unwrap_or_default();
                    resized.extend_from_slice(kept);
                    let nearest = kept.get(kept.len().saturating_sub(size)..).unwrap_or_default();
                    self.pad(&mut resized, nearest, padding, zero);
                }
                PadSide::Left => {
                    let kept = block.get(block.len().saturating_sub(kept)..).unwrap_or_default();
                    self.pad(&mut resized, kept.get(..size).unwrap_or_default(), padding, zero);
                    resized.extend_from_slice(kept);
                }
            }
        }
        resized
    }

    fn pad(&self, resized: &mut Vec<T>, nearest: &[T], pieces: usize, zero: &T) {
        let size = self.at.size;
        match &self.fill {
            None if nearest.len() == size => {
                (0..pieces).for_each(|_| resized.extend_from_slice(nearest));
            }
            fill => {
                let fill = fill.as_ref().unwrap_or(zero);
                let end = resized.len().saturating_add(pieces.saturating_mul(size));
                resized.resize(end, fill.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tensor::TensorData;

    fn tensor(shape: &[i64], data: impl Into<TensorData>) -> Tensor {
        Tensor::try_new(shape.to_vec(), data.into()).unwrap()
    }

    #[test]
    fn a_dimension_is_padded_on_its_side_with_what_was_asked() {
        let ids = tensor(&[2, 2], vec![1_i64, 2, 3, 4]);
        let widened = |side, fill| ids.widened(1, 4, side, fill).unwrap();
        let expected = |values: [i64; 8]| tensor(&[2, 4], values.to_vec());
        assert_eq!(widened(PadSide::Right, PadFill::Value(9.0)), expected([1, 2, 9, 9, 3, 4, 9, 9]));
        assert_eq!(widened(PadSide::Left, PadFill::Mask), expected([0, 0, 1, 2, 0, 0, 3, 4]));
        assert_eq!(widened(PadSide::Right, PadFill::Position), expected([1, 2, 2, 2, 3, 4, 4, 4]));
        assert_eq!(widened(PadSide::Left, PadFill::Position), expected([1, 1, 1, 2, 3, 3, 3, 4]));
    }

    #[test]
    fn pieces_of_several_values_stay_together() {
        let rows = tensor(&[1, 1, 2], vec![1.0_f32, 2.0]);
        let widened = rows.widened(1, 2, PadSide::Right, PadFill::Position).unwrap();
        assert_eq!(widened, tensor(&[1, 2, 2], vec![1.0_f32, 2.0, 1.0, 2.0]));
        let first = rows.widened(2, 3, PadSide::Right, PadFill::Value(0.5)).unwrap();
        assert_eq!(first, tensor(&[1, 1, 3], vec![1.0_f32, 2.0, 0.5]));
    }

    #[test]
    fn nothing_is_padded_with_zeros_and_given_back() {
        let none = tensor(&[2, 0], Vec::<i32>::new());
        let widened = none.widened(1, 1, PadSide::Right, PadFill::Position).unwrap();
        assert_eq!(widened, tensor(&[2, 1], vec![0_i32, 0]));
        assert_eq!(widened.trimmed(1, 0, PadSide::Right).unwrap(), none);
        assert!(none.widened(2, 1, PadSide::Right, PadFill::Mask).is_err());
    }

    #[test]
    fn what_was_padded_is_cut_off_again() {
        let words = TensorData::Bytes(["a", "b", "c", "d"].map(str::to_owned).to_vec());
        let words = tensor(&[2, 2], words);
        let cut = |side| words.trimmed(1, 1, side).unwrap();
        let expected = |left: &str, right: &str| {
            tensor(&[2, 1], TensorData::Bytes(vec![left.to_owned(), right.to_owned()]))
        };
        assert_eq!(cut(PadSide::Right), expected("a", "c"));
        assert_eq!(cut(PadSide::Left), expected("b", "d"));
    }
}
