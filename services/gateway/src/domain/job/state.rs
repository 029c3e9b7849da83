//! The states of a job.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A stored state that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown job state {0:?}")]
pub struct UnknownState(pub String);

/// Where a job stands.
///
/// ```text
///            money locked   attempt n       answer and     receipt in the     claim
///            |              |  ^ lease      signed receipt log, tip is far    confirmed
///            v              v  | lapsed     stored  v      enough   v         v
///   QUOTED ----> HELD ----> RUNNING ----> COMPLETED ----> TAKING ----> SETTLED
///     |           |            |              |              |
///     |           |            |              |              +-------> LOST      claim did not happen:
///     v           v            v              v                                  written off
///   RELEASING <--------------------------------
///     |   expired, canceled, failed, time or blocks ran out
///     |
///     +--> FAILED | CANCELED | EXPIRED   once the payment service has released the invoice
/// ```
///
/// A sealed answer waits in COMPLETED for its buyer: the drawing is in `seal.rs`.
///
/// Nothing releases from TAKING on: it is the point of no return, decided by one compare-and-set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A price was offered; no money is locked.
    Quoted,
    /// Money is locked.
    Held,
    /// The model is running.
    Running,
    /// Answer and signed receipt are stored; the money is still the payer's.
    Completed,
    /// The claim is authorised.
    Taking,
    /// The money is taken; the answer can be fetched.
    Settled,
    /// Served and logged, but the claim did not succeed; written off.
    Lost,
    /// Money is being given back.
    Releasing,
    /// The job failed; the money went back.
    Failed,
    /// The buyer gave up; the money went back.
    Canceled,
    /// Nobody paid in time, or time ran out; the money went back.
    Expired,
}

impl State {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 11] = [
        Self::Quoted,
        Self::Held,
        Self::Running,
        Self::Completed,
        Self::Taking,
        Self::Settled,
        Self::Lost,
        Self::Releasing,
        Self::Failed,
        Self::Canceled,
        Self::Expired,
    ];

    /// The word in rows, logs and metrics: the proto's name without its prefix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quoted => "QUOTED",
            Self::Held => "HELD",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Taking => "TAKING",
            Self::Settled => "SETTLED",
            Self::Lost => "LOST",
            Self::Releasing => "RELEASING",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
            Self::Expired => "EXPIRED",
        }
    }

    /// True where a job stays for ever.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Settled | Self::Lost | Self::Failed | Self::Canceled | Self::Expired)
    }

    /// True while the money, if any is locked, may still be given back by the gateway.
    pub const fn is_releasable(self) -> bool {
        matches!(self, Self::Quoted | Self::Held | Self::Running | Self::Completed)
    }
}

impl FromStr for State {
    type Err = UnknownState;
    fn from_str(word: &str) -> Result<Self, UnknownState> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownState(word.to_owned()))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
