//! Between our tensors and the engine's values.

use half::{bf16, f16};
use ort::session::SessionInputValue;
use ort::value::{DynValue, PrimitiveTensorElementType, TensorElementType, TensorRef, ValueType};

use super::session::Cause;
use crate::domain::datatype::Datatype;
use crate::domain::shape;
use crate::domain::tensor::{Element, Tensor, TensorData};

macro_rules! conversions {
    ($($variant:ident $element:ty, $theirs:ident);+ $(;)?) => {
        /// Our name for the engine's element type; none for what is not served.
        pub(super) fn datatype_of(theirs: TensorElementType) -> Option<Datatype> {
            match theirs {
                $(TensorElementType::$theirs => Some(Datatype::$variant),)+
                TensorElementType::String => Some(Datatype::Bytes),
                _ => None,
            }
        }

        /// A view of a tensor for one run; only strings are copied, which the engine keeps in its own form.
        pub(super) fn view(tensor: &Tensor) -> ort::Result<SessionInputValue<'_>> {
            match tensor.data() {
                $(TensorData::$variant(values) => {
                    TensorRef::from_array_view((tensor.shape(), values.as_slice())).map(Into::into)
                })+
                TensorData::Bytes(strings) => {
                    ort::value::Tensor::from_string_array((tensor.shape(), strings.as_slice())).map(Into::into)
                }
            }
        }

        /// Copies a value out.
        pub(super) fn copy(value: &DynValue) -> Result<Tensor, Cause> {
            match element_type(value).and_then(datatype_of) {
                $(Some(Datatype::$variant) => copy_as::<$element>(value),)+
                Some(Datatype::Bytes) => copy_strings(value),
                None => Err(format!("an output is {}, which is not served", value.dtype()).into()),
            }
        }
    };
}

conversions! {
    Bool bool, Bool;
    Int8 i8, Int8;
    Int16 i16, Int16;
    Int32 i32, Int32;
    Int64 i64, Int64;
    Uint8 u8, Uint8;
    Uint16 u16, Uint16;
    Uint32 u32, Uint32;
    Uint64 u64, Uint64;
    Fp16 f16, Float16;
    Bf16 bf16, Bfloat16;
    Fp32 f32, Float32;
    Fp64 f64, Float64;
}

/// The memory of a value, of strings the least it can be; the largest number where that cannot be said, so that limits refuse it.
pub(super) fn byte_len(value: &DynValue) -> usize {
    match value.dtype() {
        ValueType::Tensor { ty, shape, .. } => datatype_of(*ty)
            .and_then(|datatype| shape::byte_count(shape, datatype).ok())
            .unwrap_or(usize::MAX),
        _ => usize::MAX,
    }
}

fn element_type(value: &DynValue) -> Option<TensorElementType> {
    value.dtype().tensor_type()
}

fn copy_as<T: Element + PrimitiveTensorElementType>(value: &DynValue) -> Result<Tensor, Cause> {
    let (shape, values) = value.try_extract_tensor::<T>()?;
    Ok(Tensor::try_new(shape.to_vec(), T::wrap(values.to_vec()))?)
}

fn copy_strings(value: &DynValue) -> Result<Tensor, Cause> {
    let (shape, strings) = value.try_extract_strings()?;
    Ok(Tensor::try_new(shape.to_vec(), TensorData::Bytes(strings))?)
}
