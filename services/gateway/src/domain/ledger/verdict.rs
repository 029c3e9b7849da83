//! What is answered to an operation.

use std::fmt;

use ailayer_primitives::UnixMs;
use thiserror::Error;
use uuid::Uuid;

use super::reservation::ReservationState;

/// Names a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(Uuid);

impl TransactionId {
    /// Wraps a UUID.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The UUID.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The stored result of an applied operation: what a repeat is answered, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posted {
    /// The transaction.
    pub transaction_id: TransactionId,
    /// When, by the database's clock.
    pub posted_at: UnixMs,
    /// The account's balance behind it.
    pub balance_units: i64,
    /// What was reserved of it behind it.
    pub reserved_units: i64,
    /// What of a reversed deposit was spent already: the customer owes it now, and the account is frozen.
    pub shortfall_units: i64,
}

/// Why an operation was not applied. Nothing was changed and nothing is stored: the same request id may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// The id was used on this account with another body.
    #[error("the request id was used with another body")]
    RequestIdReused,
    /// There is no such account.
    #[error("there is no such account")]
    UnknownAccount,
    /// Less is available.
    #[error("the balance does not suffice")]
    InsufficientFunds,
    /// The account is frozen.
    #[error("the account is frozen")]
    Frozen,
    /// A balance would leave the range of its integer.
    #[error("the balance would overflow")]
    Overflow,
    /// The account has no such reservation.
    #[error("there is no such reservation")]
    UnknownReservation,
    /// The reservation is not pending any more.
    #[error("the reservation is {0}")]
    ReservationEnded(ReservationState),
    /// More was to be captured than is reserved.
    #[error("more was asked for than is reserved")]
    AboveReservation,
    /// The reservation's time has not run out.
    #[error("the reservation has not expired")]
    NotExpired,
    /// The reservation belongs to a job, whose transitions alone free it.
    #[error("the reservation is held by a job")]
    HeldByJob,
    /// The account has no such deposit.
    #[error("there is no such deposit")]
    UnknownDeposit,
    /// The deposit was reversed before.
    #[error("the deposit was reversed before")]
    AlreadyReversed,
    /// What was to change together with it is no longer as it was decided on.
    #[error("what it belongs to has moved on")]
    Moved,
}

impl Refusal {
    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestIdReused => "request_id_reused",
            Self::UnknownAccount => "unknown_account",
            Self::InsufficientFunds => "insufficient_funds",
            Self::Frozen => "frozen",
            Self::Overflow => "overflow",
            Self::UnknownReservation => "unknown_reservation",
            Self::ReservationEnded(_) => "reservation_ended",
            Self::AboveReservation => "above_reservation",
            Self::NotExpired => "not_expired",
            Self::HeldByJob => "held_by_job",
            Self::UnknownDeposit => "unknown_deposit",
            Self::AlreadyReversed => "already_reversed",
            Self::Moved => "moved",
        }
    }
}

/// What is answered to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Done.
    Applied(Posted),
    /// Done before; this is what was answered then.
    Duplicate(Posted),
    /// Not done.
    Refused(Refusal),
}

impl Verdict {
    /// The effect, however often it was asked for.
    pub const fn posted(self) -> Result<Posted, Refusal> {
        match self {
            Self::Applied(posted) | Self::Duplicate(posted) => Ok(posted),
            Self::Refused(refusal) => Err(refusal),
        }
    }

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied(_) => "applied",
            Self::Duplicate(_) => "duplicate",
            Self::Refused(refusal) => refusal.as_str(),
        }
    }
}
