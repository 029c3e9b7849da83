//! Canonical digests of what was asked and what was answered.
//!
//! Each begins with a domain name and a zero byte, and every part is preceded by its length, so that no two different
//! inputs share a digest.

use ailayer_primitives::Digest;
use sha2::{Digest as _, Sha256};

/// Domain of [`embed_input`].
const EMBED_INPUT: &[u8] = b"ailayer.embed.input.v1\0";
/// Domain of [`embed_output`].
const EMBED_OUTPUT: &[u8] = b"ailayer.embed.output.v1\0";

/// Something that has no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// More than 2^32 - 1 texts, rows or dimensions.
    #[error("more than {} texts, rows or dimensions", u32::MAX)]
    TooMany,
    /// The number of values is not rows times dimensions, or the rows differ in length.
    #[error("the number of values is not rows times dimensions")]
    Shape,
}

/// Digest of an embedding request:
/// SHA-256("ailayer.embed.input.v1\0" || u32be count || for each text u64be byte length || UTF-8 bytes).
///
/// # Errors
/// [`DigestError::TooMany`] for more than 2^32 - 1 texts.
pub fn embed_input<S: AsRef<str>>(texts: &[S]) -> Result<Digest, DigestError> {
    let count = u32::try_from(texts.len()).map_err(|_| DigestError::TooMany)?;
    let mut hash = Sha256::new().chain_update(EMBED_INPUT).chain_update(count.to_be_bytes());
    for text in texts {
        let bytes = text.as_ref().as_bytes();
        let length = u64::try_from(bytes.len()).map_err(|_| DigestError::TooMany)?;
        hash.update(length.to_be_bytes());
        hash.update(bytes);
    }
    Ok(Digest::new(hash.finalize().into()))
}

/// Digest of an embedding, values row after row:
/// SHA-256("ailayer.embed.output.v1\0" || u32be rows || u32be dimensions || f32 little-endian).
///
/// The bits count: 0.0 and -0.0 have different digests.
///
/// # Errors
/// [`DigestError::Shape`] unless there are `rows * dimensions` values.
pub fn embed_output(rows: u32, dimensions: u32, values: &[f32]) -> Result<Digest, DigestError> {
    if u64::try_from(values.len()) != Ok(u64::from(rows) * u64::from(dimensions)) {
        return Err(DigestError::Shape);
    }
    let mut hash = Sha256::new()
        .chain_update(EMBED_OUTPUT)
        .chain_update(rows.to_be_bytes())
        .chain_update(dimensions.to_be_bytes());
    for value in values {
        hash.update(value.to_le_bytes());
    }
    Ok(Digest::new(hash.finalize().into()))
}

/// [`embed_output`] of one vector a row.
///
/// # Errors
/// [`DigestError::Shape`] when the rows differ in length, [`DigestError::TooMany`] for more than 2^32 - 1 of them.
pub fn embed_output_rows<R: AsRef<[f32]>>(rows: &[R]) -> Result<Digest, DigestError> {
    let dimensions = rows.first().map_or(0, |row| row.as_ref().len());
    if rows.iter().any(|row| row.as_ref().len() != dimensions) {
        return Err(DigestError::Shape);
    }
    let values: Vec<f32> = rows.iter().flat_map(|row| row.as_ref()).copied().collect();
    let count = |number: usize| u32::try_from(number).map_err(|_| DigestError::TooMany);
    embed_output(count(rows.len())?, count(dimensions)?, &values)
}

#[cfg(test)]
mod tests;
