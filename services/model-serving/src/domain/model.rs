//! What is known about a model version.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use ailayer_primitives::Digest;

/// A version folder's name: a decimal number from 1, without sign or leading zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(NonZeroU64);

/// Not a version number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version is a decimal number from 1")]
pub struct InvalidVersion;

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let number: NonZeroU64 = text.parse().map_err(|_| InvalidVersion)?;
        // "+1" and "01" parse as numbers too, but would be second names of the same version.
        if number.to_string() == text { Ok(Self(number)) } else { Err(InvalidVersion) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one version of one model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId {
    /// The model's folder.
    pub name: String,
    /// The version's folder.
    pub version: Version,
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.name, self.version)
    }
}

/// What a client may know about a loaded model version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// The name and version.
    pub id: ModelId,
    /// SHA-256 of the model file's bytes, the very bytes that were loaded.
    pub digest: Digest,
    /// The execution provider that runs it.
    pub execution_provider: &'static str,
    /// What the model file says about itself, under names that begin with `onnx.`.
    pub properties: BTreeMap<String, String>,
    /// The limits of a text model; none for a model that takes only tensors.
    pub text: Option<TextLimits>,
    /// Why requests do not share a run although the settings ask for it; none if they do, or need not.
    pub batching_refused: Option<String>,
}

/// The limits of a model that takes texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLimits {
    /// The longest text in tokens, special tokens included.
    pub max_input_tokens: usize,
    /// The numbers in one embedding.
    pub dimensions: usize,
    /// The most texts a call may carry.
    pub max_items: usize,
    /// The longest text in bytes.
    pub max_text_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_name() {
        assert_eq!("12".parse::<Version>().map(|v| v.to_string()), Ok("12".to_owned()));
        for bad in ["", "0", "01", "+1", "-1", " 1", "1a", "v1", "18446744073709551616"] {
            assert_eq!(bad.parse::<Version>(), Err(InvalidVersion), "{bad}");
        }
    }
}
