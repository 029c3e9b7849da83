//! A tensor whose shape and contents agree.

use super::datatype::Datatype;
use super::shape::{self, ShapeError};

/// A Rust type that a tensor can hold.
pub trait Element: Copy + Sized {
    /// The protocol's name for it.
    const DATATYPE: Datatype;

    /// Reads one element from exactly `DATATYPE.size()` little-endian bytes; `None` if they mean nothing.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// Appends the element's little-endian bytes.
    fn write(self, bytes: &mut Vec<u8>);

    /// Wraps values.
    fn wrap(values: Vec<Self>) -> TensorData;
}

macro_rules! tensor_data {
    ($($variant:ident $element:ty),+ $(,)?) => {
        /// A tensor's values, row-major.
        #[derive(Debug, Clone, PartialEq)]
        pub enum TensorData {
            $(#[doc = concat!("Elements of `", stringify!($element), "`.")] $variant(Vec<$element>),)+
        }

        impl TensorData {
            /// The data type of the values.
            pub const fn datatype(&self) -> Datatype {
                match self { $(Self::$variant(_) => Datatype::$variant,)+ }
            }

            /// The number of values.
            pub fn len(&self) -> usize {
                match self { $(Self::$variant(values) => values.len(),)+ }
            }

            /// Reads little-endian bytes, on any host.
            ///
            /// Fails if the length is no multiple of the element size, or if a BOOL is neither 0 nor 1.
            pub fn from_le_bytes(datatype: Datatype, bytes: &[u8]) -> Result<Self, MalformedBytes> {
                match datatype { $(Datatype::$variant => read_all::<$element>(bytes),)+ }
            }

            /// The values as little-endian bytes, on any host.
            pub fn to_le_bytes(&self) -> Vec<u8> {
                match self { $(Self::$variant(values) => write_all(values),)+ }
            }
        }
    };
}

tensor_data! {
    Bool bool, Int8 i8, Int16 i16, Int32 i32, Int64 i64, Uint8 u8, Uint16 u16, Uint32 u32, Uint64 u64,
    Fp32 f32, Fp64 f64,
}

macro_rules! number {
    ($($variant:ident $element:ty),+ $(,)?) => {$(
        impl Element for $element {
            const DATATYPE: Datatype = Datatype::$variant;

            fn read(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self::from_le_bytes)
            }

            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }

            fn wrap(values: Vec<Self>) -> TensorData {
                TensorData::$variant(values)
            }
        }
    )+};
}

number! {
    Int8 i8, Int16 i16, Int32 i32, Int64 i64, Uint8 u8, Uint16 u16, Uint32 u32, Uint64 u64, Fp32 f32, Fp64 f64,
}

impl Element for bool {
    const DATATYPE: Datatype = Datatype::Bool;

    fn read(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0] => Some(false),
            [1] => Some(true),
            _ => None,
        }
    }

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }

    fn wrap(values: Vec<Self>) -> TensorData {
        TensorData::Bool(values)
    }
}

/// The bytes are not a whole number of elements, or an element means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not elements of the data type")]
pub struct MalformedBytes;

fn read_all<T: Element>(bytes: &[u8]) -> Result<TensorData, MalformedBytes> {
    if !bytes.len().is_multiple_of(T::DATATYPE.size()) {
        return Err(MalformedBytes);
    }
    let values: Option<Vec<T>> = bytes.chunks_exact(T::DATATYPE.size()).map(T::read).collect();
    values.map(T::wrap).ok_or(MalformedBytes)
}

fn write_all<T: Element>(values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len().saturating_mul(T::DATATYPE.size()));
    values.iter().for_each(|value| value.write(&mut bytes));
    bytes
}

/// Values with a shape: no dimension is negative and their product is the number of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<i64>,
    data: TensorData,
}

/// The shape does not describe the values.
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

    /// The memory of the values, in bytes.
    pub fn byte_len(&self) -> usize {
        self.data.len().saturating_mul(self.data.datatype().size())
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
