//! BYTES: strings, each behind its length.
//!
//! The raw form is Triton's: for each element four bytes, its length as little-endian u32, then the
//! element. The engine passes strings as C strings, so an element is UTF-8 without NUL.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The bytes of a length.
const PREFIX: usize = 4;

/// Why bytes are no strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StringsError {
    /// A length leads past the end, or bytes are left that are no length.
    #[error("element {index}: its length leads past the end of the contents")]
    PastTheEnd {
        /// The position of the element, from 0.
        index: usize,
    },
    /// The contents hold another number of elements.
    #[error("the contents have another number of elements than the shape, which has {expected}")]
    Count {
        /// The product of the dimensions.
        expected: usize,
    },
    /// Not UTF-8.
    #[error("element {index} is not UTF-8")]
    NotUtf8 {
        /// The position of the element, from 0.
        index: usize,
    },
    /// A NUL inside.
    #[error("element {index} holds a NUL")]
    Nul {
        /// The position of the element, from 0.
        index: usize,
    },
}

/// Reads exactly `count` elements in the raw form; the only copy is into the strings.
pub(super) fn from_raw(bytes: &[u8], count: usize) -> Result<Vec<String>, StringsError> {
    // Before anything is reserved: a message cannot hold more elements than it has prefixes.
    if count > bytes.len() / PREFIX {
        return Err(StringsError::Count { expected: count });
    }
    let mut strings = Vec::with_capacity(count);
    let mut rest = bytes;
    while !rest.is_empty() {
        let index = strings.len();
        if index == count {
            return Err(StringsError::Count { expected: count });
        }
        let past_the_end = || StringsError::PastTheEnd { index };
        let (prefix, after) = rest.split_first_chunk::<PREFIX>().ok_or_else(past_the_end)?;
        let length = usize::try_from(u32::from_le_bytes(*prefix)).map_err(|_| past_the_end())?;
        let (element, after) = after.split_at_checked(length).ok_or_else(past_the_end)?;
        strings.push(string(index, element)?);
        rest = after;
    }
    if strings.len() == count { Ok(strings) } else { Err(StringsError::Count { expected: count }) }
}

/// Checks and copies one element.
pub(super) fn string(index: usize, element: &[u8]) -> Result<String, StringsError> {
    let text = std::str::from_utf8(element).map_err(|_| StringsError::NotUtf8 { index })?;
    if element.contains(&0) {
        return Err(StringsError::Nul { index });
    }
    Ok(text.to_owned())
}

/// The length of the raw form.
pub(super) fn raw_len(strings: &[String]) -> usize {
    strings.iter().fold(0, |sum, text| sum.saturating_add(PREFIX).saturating_add(text.len()))
}

/// Writes the raw form. An element longer than a prefix can say does not fit a message, and is cut.
pub(super) fn to_raw(strings: &[String]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(raw_len(strings));
    for text in strings {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        bytes.put_u32_le(length);
        bytes.extend(text.as_bytes().iter().take(usize::try_from(length).unwrap_or(usize::MAX)));
    }
    bytes.freeze()
}
