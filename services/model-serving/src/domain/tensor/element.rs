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

    /// Wraps values.
    fn wrap(values: Vec<Self>) -> TensorData;
}

/// The bytes are not a whole number of elements, or an element means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not elements of the data type")]
pub struct MalformedBytes;

macro_rules! number {
    ($($variant:ident $element:ty, $finite:expr);+ $(;)?) => {$(
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

            fn wrap(values: Vec<Self>) -> TensorData {
                TensorData::$variant(values.into())
            }
        }
    )+};
}

number! {
    Int8 i8, |_| true;
    Int16 i16, |_| true;
    Int32 i32, |_| true;
    Int64 i64, |_| true;
    Uint8 u8, |_| true;
    Uint16 u16, |_| true;
    Uint32 u32, |_| true;
    Uint64 u64, |_| true;
    Fp16 f16, f16::is_finite;
    Bf16 bf16, bf16::is_finite;
    Fp32 f32, f32::is_finite;
    Fp64 f64, f64::is_finite;
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

    fn wrap(values: Vec<Self>) -> TensorData {
        TensorData::Bool(values.into())
    }
}
