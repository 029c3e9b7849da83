//! Whether two tensors are the same but for rounding.

use half::{bf16, f16};

use super::{Tensor, TensorData};

/// The largest difference that rounding may make, relative to the length of all values together; results differ in their
/// last bits with the size of a batch.
const TOLERANCE: f64 = 1e-4;
/// The same for numbers of 16 bits, which keep three or two digits.
const TOLERANCE_16_BITS: f64 = 1e-2;

impl Tensor {
    /// True if both have the same type and shape and the same values, floating-point numbers but for rounding. What is
    /// not finite must stand in the same places; whether it is a NaN or an infinity does not matter.
    pub fn agrees(&self, other: &Self) -> bool {
        if self.shape() != other.shape() {
            return false;
        }
        match (self.data(), other.data()) {
            (TensorData::Fp32(a), TensorData::Fp32(b)) => near(a, b, f64::from, TOLERANCE),
            (TensorData::Fp64(a), TensorData::Fp64(b)) => near(a, b, |value| value, TOLERANCE),
            (TensorData::Fp16(a), TensorData::Fp16(b)) => near(a, b, f16::to_f64, TOLERANCE_16_BITS),
            (TensorData::Bf16(a), TensorData::Bf16(b)) => near(a, b, bf16::to_f64, TOLERANCE_16_BITS),
            (a, b) => a == b,
        }
    }
}

fn near<T: Copy>(a: &[T], b: &[T], wide: impl Fn(T) -> f64, tolerance: f64) -> bool {
    let pairs = || a.iter().zip(b).map(|(a, b)| (wide(*a), wide(*b)));
    if pairs().any(|(a, b)| a.is_finite() != b.is_finite()) {
        return false;
    }
    let length = |values: &dyn Fn((f64, f64)) -> f64| {
        let finite = pairs().filter(|(a, _)| a.is_finite());
        finite.map(values).map(|value| value * value).sum::<f64>().sqrt()
    };
    length(&|(a, b)| a - b) <= tolerance * length(&|(a, _)| a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(data: TensorData) -> Tensor {
        Tensor::try_new(vec![2], data).unwrap()
    }

    #[test]
    fn rounding_is_forgiven_and_nothing_else() {
        let one = |values: [f32; 2]| tensor(values.to_vec().into());
        assert!(one([1.0, 2.0]).agrees(&one([1.0, 2.000_01])));
        assert!(!one([1.0, 2.0]).agrees(&one([1.0, 2.01])));
        assert!(!one([0.0, 0.0]).agrees(&one([0.0, 0.1])));
        assert!(one([f32::NAN, 2.0]).agrees(&one([f32::INFINITY, 2.0])));
        assert!(!one([f32::NAN, 2.0]).agrees(&one([0.0, 2.0])));
        assert!(!tensor(vec![1_i64, 2].into()).agrees(&tensor(vec![1_i64, 3].into())));
        assert!(!tensor(vec![1_i64, 2].into()).agrees(&tensor(vec![1_i32, 2].into())));
        let half = |value: f32| tensor(vec![f16::from_f32(value); 2].into());
        assert!(half(1.0).agrees(&half(1.004)) && !half(1.0).agrees(&half(1.1)));
        let wide = Tensor::try_new(vec![1, 2], vec![1_i64, 2].into()).unwrap();
        assert!(!wide.agrees(&tensor(vec![1_i64, 2].into())));
    }
}
