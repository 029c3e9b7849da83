//! Money of a customer that is set aside.

use std::fmt;
use std::str::FromStr;

use ailayer_primitives::{JobId, UnixMs};
use thiserror::Error;

use super::amount::Amount;
use super::verdict::Refusal;

/// Where a reservation stands.
///
/// ```text
///             capture: actual <= reserved, the rest is free again
///   PENDING ----> POSTED
///      |
///      +--------> VOIDED     nothing was used
///      |
///      +--------> EXPIRED    its time ran out; never for one that a job holds
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReservationState {
    /// The money is set aside.
    Pending,
    /// What was used is taken.
    Posted,
    /// All of it is free again.
    Voided,
    /// All of it is free again, by time.
    Expired,
}

/// A stored state that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown reservation state {0:?}")]
pub struct UnknownState(pub String);

impl ReservationState {
    const ALL: [Self; 4] = [Self::Pending, Self::Posted, Self::Voided, Self::Expired];

    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Posted => "POSTED",
            Self::Voided => "VOIDED",
            Self::Expired => "EXPIRED",
        }
    }
}

impl fmt::Display for ReservationState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReservationState {
    type Err = UnknownState;
    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// What frees a reservation when nobody captures it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Terms {
    /// It may be expired from then on. Until it is, it can be captured: the state counts, not the clock.
    ExpiresAt(UnixMs),
    /// The transitions of this job, and nothing else.
    HeldBy(JobId),
}

/// Money that is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// How much.
    pub amount: Amount,
    /// Until when, or for which job.
    pub terms: Terms,
    /// Where it stands.
    pub state: ReservationState,
    /// What was taken of it; nothing unless POSTED.
    pub captured_units: i64,
    /// When it was last changed.
    pub updated_at: UnixMs,
}

impl Reservation {
    /// Set aside now.
    pub const fn new(amount: Amount, terms: Terms, now: UnixMs) -> Self {
        Self { amount, terms, state: ReservationState::Pending, captured_units: 0, updated_at: now }
    }

    /// Takes what was used.
    pub fn capture(self, amount: Amount, now: UnixMs) -> Result<Self, Refusal> {
        let ended = self.end(ReservationState::Posted, now)?;
        if amount > self.amount {
            return Err(Refusal::AboveReservation);
        }
        Ok(Self { captured_units: amount.units(), ..ended })
    }

    /// Frees all of it.
    pub fn void(self, now: UnixMs) -> Result<Self, Refusal> {
        self.end(ReservationState::Voided, now)
    }

    /// Frees all of it because its time ran out.
    pub fn expire(self, now: UnixMs) -> Result<Self, Refusal> {
        let ended = self.end(ReservationState::Expired, now)?;
        match self.terms {
            Terms::HeldBy(_) => Err(Refusal::HeldByJob),
            Terms::ExpiresAt(at) if now < at => Err(Refusal::NotExpired),
            Terms::ExpiresAt(_) => Ok(ended),
        }
    }

    fn end(self, state: ReservationState, now: UnixMs) -> Result<Self, Refusal> {
        match self.state {
            ReservationState::Pending => Ok(Self { state, updated_at: now, ..self }),
            ended => Err(Refusal::ReservationEnded(ended)),
        }
    }
}
