//! The Rust types that tensors hold.

use bytemuck::{CheckedBitPattern, NoUninit};
use half::{bf16, f16};

use super::data::TensorData;

/// A fixed-size type that a tensor can hold. Its size in memory is its size on the wire.
pub trait Element:
    CheckedBitPattern + NoUninit + PartialEq + std::fmt::Debug + Send + Sync + 'static
{
    /// Copies little-endian bytes, at any address and on any host; `None` if an element means nothing.
    fn copy_from_le(bytes: &[u8]) -> Option<Vec<Self>>;

    /// Copies values to little-endian bytes, on any host.
    fn copy_to_le(values: &[Self]) -> Vec<u8>;

    /// False for NaN and the infinities.
    fn is_finite(self) -> bool;

    /// The value nearest to a number; for BOOL, true unless it is 0.
    fn from_f64(number: f64) -> Self;

    /// Wraps values.
    fn wrap(values: Vec<Self>) -> TensorData;
}

/// The bytes are not a whole number of elements, or an element means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not elements of the data type")]
pub struct MalformedBytes;

macro_rules! number {
    ($($variant:ident $element:ty, $finite:expr, $from_f64:expr);+ $(;)?) => {$(
        impl Element for $element {
            fn copy_from_le(bytes: &[u8]) -> Option<Vec<Self>> {
                if cfg!(target_endian = "little") {
                    return Some(bytemuck::pod_collect_to_vec(bytes));
                }
                let (elements, rest) = bytes.as_chunks();
                rest.is_empty().then(|| elements.iter().map(|bytes| Self::from_le_bytes(*bytes)).collect())
            }

            fn copy_to_le(values: &[Self]) -> Vec<u8> {
                values.iter().flat_map(|value| value.to_le_bytes()).collect()
            }

            fn is_finite(self) -> bool {
                $finite(self)
            }

            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "to the nearest value, as `as` does"
            )]
            fn from_f64(number: f64) -> Self {
                $from_f64(number)
            }

            fn wrap(values: Vec<Self>) -> TensorData {
                TensorData::$variant(values.into())
            }
        }
    )+};
}

number! {
    Int8 i8, |_| true, |number| number as i8;
    Int16 i16, |_| true, |number| number as i16;
    Int32 i32, |_| true, |number| number as i32;
    Int64 i64, |_| true, |number| number as i64;
    Uint8 u8, |_| true, |number| number as u8;
    Uint16 u16, |_| true, |number| number as u16;
    Uint32 u32, |_| true, |number| number as u32;
    Uint64 u64, |_| true, |number| number as u64;
    Fp16 f16, f16::is_finite, f16::from_f64;
    Bf16 bf16, bf16::is_finite, bf16::from_f64;
    Fp32 f32, f32::is_finite, |number| number as f32;
    Fp64 f64, f64::is_finite, |number| number;
}

impl Element for bool {
    fn copy_from_le(bytes: &[u8]) -> Option<Vec<Self>> {
        let read = |byte: &u8| match byte {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        bytes.iter().map(read).collect()
    }

    fn copy_to_le(values: &[Self]) -> Vec<u8> {
        values.iter().map(|value| u8::from(*value)).collect()
    }

    fn is_finite(self) -> bool {
        true
    }

    fn from_f64(number: f64) -> Self {
        number != 0.0
    }

    fn wrap(values: Vec<Self>) -> TensorData {
        TensorData::Bool(values.into())
    }
}
