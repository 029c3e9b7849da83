//! Ids that travel between services.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// A text or byte string that is not the id it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseIdError {
    /// Not a UUID in hyphenated form.
    #[error("not a UUID")]
    NotUuid,
    /// The nil UUID stands for "none" and names nothing.
    #[error("the nil UUID is not an id")]
    Nil,
    /// A job token of another length than 16 bytes.
    #[error("a job token has 16 bytes, got {0}")]
    TokenLength(usize),
}

fn parse_uuid(text: &str) -> Result<Uuid, ParseIdError> {
    let id = Uuid::try_parse(text).map_err(|_| ParseIdError::NotUuid)?;
    if id.is_nil() { Err(ParseIdError::Nil) } else { Ok(id) }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID that is known not to be nil.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_uuid(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id! {
    /// Names one paid job. Also the id of its hold invoice, from which the preimage is derived.
    JobId
}

uuid_id! {
    /// The caller's idempotency key: the same id has the same effect for ever.
    RequestId
}

/// The 128-bit secret that opens a job. Stored only as a hash, never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct JobToken([u8; 16]);

impl JobToken {
    /// Wraps 16 secret bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, for the buyer who asked.
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }
}

impl TryFrom<&[u8]> for JobToken {
    type Error = ParseIdError;
    fn try_from(bytes: &[u8]) -> Result<Self, ParseIdError> {
        bytes.try_into().map(Self).map_err(|_| ParseIdError::TokenLength(bytes.len()))
    }
}

impl fmt::Debug for JobToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JobToken(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_ids_are_taken() {
        assert_eq!("".parse::<JobId>(), Err(ParseIdError::NotUuid));
        assert_eq!("00000000-0000-0000-0000-000000000000".parse::<RequestId>(), Err(ParseIdError::Nil));
        let id: JobId = "6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11".parse().unwrap();
        assert_eq!(id.to_string(), "6f1b1d0e-6f3c-4f7c-9f5e-0a7f3f0d9c11");
        assert_eq!(JobToken::try_from([0u8; 3].as_slice()), Err(ParseIdError::TokenLength(3)));
    }
}
