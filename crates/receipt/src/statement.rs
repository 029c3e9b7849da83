//! What the gateway signs.
//!
//! Statements are JSON objects: integers only, none above 2^53 - 1 (so that every JSON reader sees the same number),
//! unknown fields and repeated keys refused, texts bounded. A later version is another payload type.

mod closing;
mod quote;
mod receipt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use ailayer_primitives::Digest;

pub use closing::{Closing, Outcome};
pub use quote::{Quote, Rail, Seal, Task};
pub use receipt::{Claim, Receipt, Usage};

/// Version of every statement in this crate.
pub const VERSION: u32 = 1;
/// Largest integer that every JSON reader keeps exact: 2^53 - 1.
pub const MAX_INTEGER: u64 = (1 << 53) - 1;
/// Longest text in a statement, in bytes.
pub const MAX_TEXT_BYTES: usize = 128;

/// What is wrong with a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not the JSON of this statement; says where.
    #[error("{0}")]
    Json(String),
    /// Another version.
    #[error("version is {0}, not {VERSION}")]
    Version(u32),
    /// Above [`MAX_INTEGER`].
    #[error("{0} is above 2^53 - 1")]
    Integer(&'static str),
    /// Empty, longer than [`MAX_TEXT_BYTES`], or with a control character.
    #[error("{0} is empty, longer than {MAX_TEXT_BYTES} bytes or holds a control character")]
    Text(&'static str),
    /// Two fields contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// Something the gateway signs.
pub trait Statement: Serialize + DeserializeOwned {
    /// Media type in the envelope; covered by the signature.
    const PAYLOAD_TYPE: &'static str;

    /// Checks the bounds of every field. Called before signing and after reading.
    ///
    /// # Errors
    /// [`StatementError`] naming the field.
    fn validate(&self) -> Result<(), StatementError>;

    /// Reads a payload whose signature holds.
    ///
    /// # Errors
    /// [`StatementError`] naming the field.
    fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let mut json = serde_json::Deserializer::from_slice(payload);
        let statement: Self = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| StatementError::Json(error.to_string()))?;
        json.end().map_err(|error| StatementError::Json(error.to_string()))?;
        statement.validate()?;
        Ok(statement)
    }
}

/// The model that was asked for, and that answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name in the model repository.
    pub name: String,
    /// Version in the model repository.
    pub version: String,
    /// SHA-256 that stands for the model's files, as model-serving reports it.
    pub digest: Digest,
}

impl Model {
    fn validate(&self) -> Result<(), StatementError> {
        check_text("model.name", &self.name)?;
        check_text("model.version", &self.version)
    }
}

/// Fields that older statements do not have are left out where they say nothing, so that those stay as they were.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn check_version(version: u32) -> Result<(), StatementError> {
    if version == VERSION { Ok(()) } else { Err(StatementError::Version(version)) }
}

fn check_integers(fields: &[(&'static str, u64)]) -> Result<(), StatementError> {
    match fields.iter().find(|(_, value)| *value > MAX_INTEGER) {
        Some((name, _)) => Err(StatementError::Integer(name)),
        None => Ok(()),
    }
}

fn check_text(name: &'static str, text: &str) -> Result<(), StatementError> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        return Err(StatementError::Text(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
