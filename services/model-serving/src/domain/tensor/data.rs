//! A tensor's values without their shape.

use bytes::Bytes;
use half::{bf16, f16};

use super::element::{Element, MalformedBytes};
use super::pad::Resize;
use super::strings::{self, StringsError};
use super::values::Values;
use crate::domain::datatype::Datatype;

macro_rules! tensor_data {
    ($($variant:ident $element:ty),+ $(,)?) => {
        /// A tensor's values, row-major.
        #[derive(Debug, Clone, PartialEq)]
        pub enum TensorData {
            $(#[doc = concat!("Elements of `", stringify!($element), "`.")] $variant(Values<$element>),)+
            /// Strings: UTF-8, no NUL inside.
            Bytes(Vec<String>),
        }

        impl TensorData {
            /// The data type of the values.
            pub const fn datatype(&self) -> Datatype {
                match self {
                    $(Self::$variant(_) => Datatype::$variant,)+
                    Self::Bytes(_) => Datatype::Bytes,
                }
            }

            /// The number of values.
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$variant(values) => values.len(),)+
                    Self::Bytes(strings) => strings.len(),
                }
            }

            /// The length of the raw form.
            pub fn byte_len(&self) -> usize {
                match self {
                    $(Self::$variant(values) => size_of_val(values.as_slice()),)+
                    Self::Bytes(strings) => strings::raw_len(strings),
                }
            }

            /// Reads exactly `count` values in the raw form: little-endian, strings behind their lengths.
            ///
            /// Numbers are copied only if they are not aligned, strings are copied once.
            pub fn from_raw(datatype: Datatype, count: usize, bytes: Bytes) -> Result<Self, RawError> {
                let data = match datatype {
                    $(Datatype::$variant => {
                        let expected = count.saturating_mul(size_of::<$element>());
                        if bytes.len() != expected {
                            return Err(RawError::Length { expected, actual: bytes.len() });
                        }
                        Self::$variant(Values::from_le_bytes(bytes)?)
                    })+
                    Datatype::Bytes => {
                        #[cfg(test)]
                        super::tests::copied(bytes.len());
                        Self::Bytes(strings::from_raw(&bytes, count)?)
                    }
                };
                Ok(data)
            }

            /// The raw form. On a little-endian host only strings are copied.
            pub fn into_raw(self) -> Bytes {
                match self {
                    $(Self::$variant(values) => values.into_le_bytes(),)+
                    Self::Bytes(strings) => {
                        #[cfg(test)]
                        super::tests::copied(strings::raw_len(&strings));
                        strings::to_raw(&strings)
                    }
                }
            }

            /// The position of the first NaN or infinity.
            pub fn first_non_finite(&self) -> Option<usize> {
                match self {
                    $(Self::$variant(values) => values.iter().position(|value| !value.is_finite()),)+
                    Self::Bytes(_) => None,
                }
            }

            pub(super) fn concat<'a>(first: &Self, parts: impl Iterator<Item = &'a Self>, count: usize) -> Self {
                match first {
                    $(Self::$variant(_) => {
                        let mut all = Vec::with_capacity(count);
                        for part in parts {
                            if let Self::$variant(values) = part {
                                #[cfg(test)]
                                super::tests::copied(size_of_val(values.as_slice()));
                                all.extend_from_slice(values);
                            }
                        }
                        Self::$variant(all.into())
                    })+
                    Self::Bytes(_) => {
                        let mut all = Vec::with_capacity(count);
                        for part in parts {
                            if let Self::Bytes(strings) = part {
                                all.extend_from_slice(strings);
                            }
                        }
                        Self::Bytes(all)
                    }
                }
            }

            /// The values with one dimension of another length.
            pub(super) fn resized(&self, resize: &Resize<f64>) -> Self {
                match self {
                    $(Self::$variant(values) => {
                        let resize = resize.with_fill(<$element>::from_f64);
                        let all = resize.apply(values, &<$element>::from_f64(0.0));
                        #[cfg(test)]
                        super::tests::copied(size_of_val(all.as_slice()));
                        Self::$variant(all.into())
                    })+
                    Self::Bytes(strings) => {
                        Self::Bytes(resize.with_fill(|_| String::new()).apply(strings, &String::new()))
                    }
                }
            }

            pub(super) fn split(self, lengths: &[usize]) -> Vec<Self> {
                match self {
                    $(Self::$variant(values) => {
                        values.split(lengths).into_iter().map(Self::$variant).collect()
                    })+
                    Self::Bytes(strings) => {
                        let mut rest = strings.into_iter();
                        lengths.iter().map(|length| Self::Bytes(rest.by_ref().take(*length).collect())).collect()
                    }
                }
            }
        }
    };
}

tensor_data! {
    Bool bool, Int8 i8, Int16 i16, Int32 i32, Int64 i64, Uint8 u8, Uint16 u16, Uint32 u32, Uint64 u64,
    Fp16 f16, Bf16 bf16, Fp32 f32, Fp64 f64,
}

impl TensorData {
    /// Strings of typed contents, each checked and copied once.
    pub fn from_strings(elements: &[Bytes]) -> Result<Self, StringsError> {
        let strings = elements.iter().enumerate().map(|(index, element)| strings::string(index, element));
        strings.collect::<Result<_, _>>().map(Self::Bytes)
    }
}

impl<T: Element> From<Vec<T>> for TensorData {
    fn from(values: Vec<T>) -> Self {
        T::wrap(values)
    }
}

/// Bytes that are not the values the shape promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RawError {
    /// More or fewer bytes.
    #[error("{actual} bytes, the shape has {expected}")]
    Length {
        /// What the shape takes.
        expected: usize,
        /// What there is.
        actual: usize,
    },
    /// A BOOL that is neither 0 nor 1.
    #[error(transparent)]
    Malformed(#[from] MalformedBytes),
    /// Not strings.
    #[error(transparent)]
    Strings(#[from] StringsError),
}
