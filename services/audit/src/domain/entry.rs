//! An entry's bytes and its place in the log.

use ailayer_primitives::UnixMs;
use ailayer_tlog::{IndexPromise, NodeHash, leaf_hash};
use bytes::Bytes;

/// Most bytes of an entry: what a 16-bit length prefix of C2SP entry bundles can carry.
pub const MAX_ENTRY_BYTES: usize = 65_535;

/// Why bytes are no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No bytes at all.
    #[error("an entry has at least one byte")]
    Empty,
    /// More than [`MAX_ENTRY_BYTES`].
    #[error("an entry has at most {MAX_ENTRY_BYTES} bytes, got {0}")]
    TooLarge(usize),
}

/// The exact bytes of an entry, 1 to [`MAX_ENTRY_BYTES`], with their leaf hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Bytes,
    leaf_hash: NodeHash,
}

impl Entry {
    /// Takes the bytes as they are and hashes them.
    ///
    /// # Errors
    /// [`EntryError`] when there are none or too many.
    pub fn try_new(bytes: impl Into<Bytes>) -> Result<Self, EntryError> {
        let bytes = bytes.into();
        match bytes.len() {
            0 => Err(EntryError::Empty),
            1..=MAX_ENTRY_BYTES => Ok(Self { leaf_hash: leaf_hash(&bytes), bytes }),
            length => Err(EntryError::TooLarge(length)),
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Their leaf hash (RFC 6962).
    pub const fn leaf_hash(&self) -> NodeHash {
        self.leaf_hash
    }
}

/// Where an entry stands in the log, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// Index, from 0.
    pub leaf_index: u64,
    /// When it was sequenced.
    pub sequenced: UnixMs,
    /// True when the same bytes were in the log before this request.
    pub duplicate: bool,
}

impl Placement {
    /// The promise that the log signs for this place.
    pub const fn promise(&self, leaf_hash: NodeHash) -> IndexPromise {
        IndexPromise { leaf_index: self.leaf_index, leaf_hash, sequenced_unix_ms: self.sequenced.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_1_to_65535_bytes() {
        assert_eq!(Entry::try_new(Vec::new()), Err(EntryError::Empty));
        assert!(Entry::try_new(vec![0]).is_ok());
        assert!(Entry::try_new(vec![0; 65_535]).is_ok());
        assert_eq!(Entry::try_new(vec![0; 65_536]), Err(EntryError::TooLarge(65_536)));
    }
}
