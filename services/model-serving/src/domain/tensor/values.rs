//! Numbers that lie where they arrived as long as the host can read them there.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

use super::element::{Element, MalformedBytes};

/// Fixed-size values, row-major: either our own, or a view of the message that brought them.
///
/// Cloning a view copies nothing.
#[derive(Clone)]
pub struct Values<T>(Storage<T>);

#[derive(Clone)]
enum Storage<T> {
    Owned(Vec<T>),
    /// Checked when it was made: aligned, whole elements, each of them meaning something.
    Shared(Bytes),
}

impl<T: Element> Values<T> {
    /// Takes little-endian bytes. Nothing is copied if they are aligned and the host is little-endian;
    /// otherwise they are, once.
    ///
    /// Fails if they are not whole elements, or if a BOOL is neither 0 nor 1.
    pub fn from_le_bytes(bytes: Bytes) -> Result<Self, MalformedBytes> {
        if !bytes.len().is_multiple_of(size_of::<T>()) {
            return Err(MalformedBytes);
        }
        if cfg!(target_endian = "little") && bytemuck::checked::try_cast_slice::<u8, T>(&bytes).is_ok() {
            return Ok(Self(Storage::Shared(bytes)));
        }
        #[cfg(test)]
        super::tests::copied(bytes.len());
        T::copy_from_le(&bytes).map(Self::from).ok_or(MalformedBytes)
    }

    /// The values as little-endian bytes. On a little-endian host nothing is copied.
    pub fn into_le_bytes(self) -> Bytes {
        match self.0 {
            Storage::Shared(bytes) => bytes,
            Storage::Owned(values) if cfg!(target_endian = "little") => Bytes::from_owner(Raw(values)),
            Storage::Owned(values) => T::copy_to_le(&values).into(),
        }
    }

    /// The values on their own; copied if they were a view.
    pub fn into_vec(self) -> Vec<T> {
        match self.0 {
            Storage::Owned(values) => values,
            Storage::Shared(_) => {
                #[cfg(test)]
                super::tests::copied(size_of_val(self.as_slice()));
                self.as_slice().to_vec()
            }
        }
    }

    /// The values.
    pub fn as_slice(&self) -> &[T] {
        match &self.0 {
            Storage::Owned(values) => values,
            // Cannot fail: it was checked when the view was made, and the bytes never change or move.
            Storage::Shared(bytes) => bytemuck::checked::try_cast_slice(bytes).unwrap_or_default(),
        }
    }

    /// Cuts into consecutive pieces of `lengths` values that share one memory.
    ///
    /// The lengths must not exceed the values there are; what is missing is left out.
    pub(super) fn split(self, lengths: &[usize]) -> Vec<Self> {
        let bytes = match self.0 {
            Storage::Shared(bytes) => bytes,
            Storage::Owned(values) => Bytes::from_owner(Raw(values)),
        };
        let mut rest = bytes;
        let piece = |length: &usize| {
            let end = length.saturating_mul(size_of::<T>()).min(rest.len());
            Self(Storage::Shared(rest.split_to(end)))
        };
        lengths.iter().map(piece).collect()
    }
}

/// Values as the bytes they are in memory.
struct Raw<T>(Vec<T>);

impl<T: Element> AsRef<[u8]> for Raw<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

impl<T> From<Vec<T>> for Values<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Storage::Owned(values))
    }
}

impl<T: Element> Deref for Values<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.as_slice()
    }
}

impl<T: Element> PartialEq for Values<T> {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl<T: Element> fmt::Debug for Values<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}
