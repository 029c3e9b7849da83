//! Signed notes after C2SP signed-note.md, with Ed25519 keys (type 0x01).
//!
//! A note is text that ends with a newline, an empty line, and one signature line or more:
//!
//! ```text
//! text
//!
//! — example.com/log base64(key id || signature)
//! ```
//!
//! Signatures by unknown keys are kept and ignored, so that witnesses can be added; a signature by a known key that
//! does not verify refuses the whole note.

mod keys;
mod parse;

pub use keys::{KeyError, KeyId, Signer, Verifier};
pub use parse::{Note, NoteError, NoteSignature};

/// Largest note that is parsed, in bytes. Sixteen post-quantum cosignatures (ML-DSA-44) take about 52 kB.
pub const MAX_NOTE_BYTES: usize = 256 * 1024;
/// Most signature lines that are parsed. C2SP asks for at least 16.
pub const MAX_SIGNATURES: usize = 64;
/// Longest key name, in bytes. Not from C2SP; host name and path of a log fit well.
pub const MAX_KEY_NAME_BYTES: usize = 255;

/// Signs a text with one key or more.
///
/// # Errors
/// [`NoteError`] when the text is not one a note can carry, there is no signer, or too many.
pub fn sign(text: &str, signers: &[&Signer]) -> Result<Note, NoteError> {
    let signatures = signers.iter().map(|signer| signer.sign(text)).collect();
    Note::try_new(text.to_owned(), signatures)
}

#[cfg(test)]
mod tests;
