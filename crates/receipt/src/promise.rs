//! The four promises about a log entry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How far a log entry has come. Ordered: each promise includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promise {
    /// The entry has its index for ever, by a durable commit and a signature.
    Sequenced,
    /// The entry is under a root hash.
    Integrated,
    /// That root hash is in a signed checkpoint.
    Published,
    /// That checkpoint is committed to by a Bitcoin block with enough confirmations.
    Anchored,
}

impl Promise {
    /// All promises, weakest first.
    pub const ALL: [Self; 4] = [Self::Sequenced, Self::Integrated, Self::Published, Self::Anchored];

    /// The name in reports and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sequenced => "sequenced",
            Self::Integrated => "integrated",
            Self::Published => "published",
            Self::Anchored => "anchored",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Not the name of a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a promise is sequenced, integrated, published or anchored")]
pub struct UnknownPromise;

impl FromStr for Promise {
    type Err = UnknownPromise;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|promise| promise.as_str() == text).ok_or(UnknownPromise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_are_ordered_and_named() {
        assert!(Promise::ALL.is_sorted());
        for promise in Promise::ALL {
            assert_eq!(promise.to_string().parse(), Ok(promise));
            assert_eq!(serde_json::to_string(&promise).unwrap(), format!("\"{promise}\""));
        }
        assert_eq!("final".parse::<Promise>(), Err(UnknownPromise));
    }
}
