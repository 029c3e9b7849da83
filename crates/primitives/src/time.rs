//! Points in time as integers. Reading a clock is the caller's business.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

/// Seconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixS(pub u64);

impl UnixMs {
    /// Whole seconds, rounded down.
    pub const fn to_s(self) -> UnixS {
        UnixS(self.0 / 1000)
    }
}
