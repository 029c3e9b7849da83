//! What an operator can stop, each for itself.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A word that names no brake.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no brake: new_jobs, claims")]
pub struct UnknownBrake(pub String);

/// What an operator can stop. Payouts have a brake of their own in the payment service, which makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Brake {
    /// No quote is made, no deposit is invoiced, no prepaid job begins. What runs goes on.
    NewJobs,
    /// No claim is authorised and no reservation captured. Finished jobs wait; those whose append timeout ends give their money
    /// back.
    Claims,
}

impl Brake {
    /// Both.
    pub const ALL: [Self; 2] = [Self::NewJobs, Self::Claims];

    /// The word in rows and calls.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewJobs => "new_jobs",
            Self::Claims => "claims",
        }
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Brake {
    type Err = UnknownBrake;
    fn from_str(word: &str) -> Result<Self, UnknownBrake> {
        let found = Self::ALL.into_iter().find(|brake| brake.as_str() == word);
        found.ok_or_else(|| UnknownBrake(word.to_owned()))
    }
}
