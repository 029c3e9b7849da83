//! Checkpoints after C2SP tlog-checkpoint.md: the log's signed statement of its size and root hash.
//!
//! ```text
//! example.com/log
//! 20852163
//! CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//! ```
//!
//! Extension lines are neither written nor accepted: what the log wants to say beyond this it says in an entry.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::hash::{NodeHash, empty_root};
use crate::note::{self, Note, NoteError, Signer, Verifier};
use crate::tree::MAX_TREE_SIZE;

/// What is wrong with a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it is malformed or not signed as it must be.
    #[error("note: {0}")]
    Note(NoteError),
    /// Not three lines: origin, tree size, root hash.
    #[error("the body is not three lines")]
    Lines,
    /// The origin is empty or holds a control character.
    #[error("the origin is empty or holds a control character")]
    Origin,
    /// The tree size is not a decimal number without leading zeros, or above [`MAX_TREE_SIZE`].
    #[error("the tree size is not a decimal number up to {MAX_TREE_SIZE}")]
    TreeSize,
    /// The root hash is not base64 of 32 bytes, or not that of an empty tree although the tree size is 0.
    #[error("the root hash is not the base64 of 32 bytes, or not that of an empty tree")]
    RootHash,
    /// The origin is not the name of the log's key.
    #[error("the origin is not the name of the log's key")]
    ForeignOrigin,
}

impl From<NoteError> for CheckpointError {
    fn from(error: NoteError) -> Self {
        Self::Note(error)
    }
}

/// A log's size and root hash, under its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Unique name of the log, for us also the name of its key (`example.com/log`).
    pub origin: String,
    /// Number of leaves.
    pub tree_size: u64,
    /// Root hash of the tree of that size.
    pub root_hash: NodeHash,
}

impl Checkpoint {
    /// The note text: three lines, final newline included. These are the bytes that are signed and anchored.
    #[must_use]
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.tree_size, STANDARD.encode(self.root_hash.as_bytes()))
    }

    /// Reads a note text.
    ///
    /// # Errors
    /// [`CheckpointError`] naming the line that is wrong. Whatever is accepted is exactly what [`Checkpoint::body`] writes.
    pub fn parse(body: &str) -> Result<Self, CheckpointError> {
        let mut lines = body.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Lines);
        };
        if origin.is_empty() || origin.chars().any(char::is_control) {
            return Err(CheckpointError::Origin);
        }
        let tree_size = parse_size(size).ok_or(CheckpointError::TreeSize)?;
        let bytes = STANDARD.decode(root).map_err(|_| CheckpointError::RootHash)?;
        let root_hash = NodeHash::try_from(bytes.as_slice()).map_err(|_| CheckpointError::RootHash)?;
        if tree_size == 0 && root_hash != empty_root() {
            return Err(CheckpointError::RootHash);
        }
        Ok(Self { origin: origin.to_owned(), tree_size, root_hash })
    }

    /// Signs it with the log's key, whose name must be the origin.
    ///
    /// # Errors
    /// [`CheckpointError`] when origin, size or root could not be read back, or the origin is not the key's name.
    pub fn sign(&self, signer: &Signer) -> Result<Note, CheckpointError> {
        if Self::parse(&self.body())?.origin != signer.verifier().name() {
            return Err(CheckpointError::ForeignOrigin);
        }
        Ok(note::sign(&self.body(), &[signer])?)
    }

    /// Opens a checkpoint note: the log's signature is checked first, then the body read and its origin compared with
    /// the key's name. Other signatures are ignored.
    ///
    /// # Errors
    /// [`CheckpointError`] naming what is wrong.
    pub fn open(note: &Note, log: &Verifier) -> Result<Self, CheckpointError> {
        note.verify(&[log])?;
        let checkpoint = Self::parse(note.text())?;
        if checkpoint.origin == log.name() { Ok(checkpoint) } else { Err(CheckpointError::ForeignOrigin) }
    }
}

/// Decimal digits without sign or leading zeros.
fn parse_size(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if !digits || leading_zero {
        return None;
    }
    text.parse().ok().filter(|size| *size <= MAX_TREE_SIZE)
}

#[cfg(test)]
mod tests;
