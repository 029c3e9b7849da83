//! How a job is paid.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A stored rail that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown rail {0:?}")]
pub struct UnknownRail(pub String);

/// How a job is paid. The states are the same; where the money comes from and how it goes back differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rail {
    /// A Lightning hold invoice at the exact price: claimed by the payment service, released by it.
    Hold,
    /// A reservation of the cap on a balance: what was used is captured, the rest is free again, all in our own books.
    Prepaid,
}

impl Rail {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Hold, Self::Prepaid];

    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Prepaid => "prepaid",
        }
    }
}

impl fmt::Display for Rail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Rail {
    type Err = UnknownRail;
    fn from_str(text: &str) -> Result<Self, UnknownRail> {
        let found = Self::ALL.into_iter().find(|rail| rail.as_str() == text);
        found.ok_or_else(|| UnknownRail(text.to_owned()))
    }
}
