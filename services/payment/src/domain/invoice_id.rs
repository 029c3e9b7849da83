//! The caller's name of a hold invoice.

use std::fmt;
use std::str::FromStr;

use ailayer_primitives::ParseIdError;
use uuid::Uuid;

/// A UUID that is not nil. The preimage is derived from it, so it is used once and for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvoiceId(Uuid);

impl InvoiceId {
    /// Refuses the nil UUID, which stands for "none".
    pub fn try_new(id: Uuid) -> Result<Self, ParseIdError> {
        if id.is_nil() { Err(ParseIdError::Nil) } else { Ok(Self(id)) }
    }

    /// The UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for InvoiceId {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Self::try_new(Uuid::try_parse(text).map_err(|_| ParseIdError::NotUuid)?)
    }
}

impl fmt::Display for InvoiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
