//! Amounts of bitcoin. Integers only; every operation that may overflow says so.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// All the satoshi there will ever be.
const MAX_SAT: u64 = 21_000_000 * 100_000_000;
/// Millisatoshi in a satoshi.
const MSAT_PER_SAT: u64 = 1000;

/// An amount that cannot exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AmountError {
    /// More than all bitcoin, or the sum overflowed.
    #[error("amount exceeds 21 million bitcoin")]
    TooLarge,
    /// A subtraction went below zero.
    #[error("amount would be negative")]
    Negative,
}

/// Millisatoshi: the unit of prices, holds and the ledger. At most 21 million bitcoin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct AmountMsat(u64);

/// Satoshi: the unit of the base chain. At most 21 million bitcoin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct AmountSat(u64);

impl AmountMsat {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All bitcoin.
    pub const MAX: Self = Self(MAX_SAT * MSAT_PER_SAT);

    /// Accepts 0 to 21 million bitcoin.
    pub fn try_new(msat: u64) -> Result<Self, AmountError> {
        if msat > Self::MAX.0 { Err(AmountError::TooLarge) } else { Ok(Self(msat)) }
    }

    /// The number of millisatoshi.
    pub const fn msat(self) -> u64 {
        self.0
    }

    /// The amount as PostgreSQL's `bigint`; never negative, never truncated, since the maximum fits.
    pub const fn to_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// Reads a `bigint`.
    pub fn try_from_i64(msat: i64) -> Result<Self, AmountError> {
        u64::try_from(msat).map_err(|_| AmountError::Negative).and_then(Self::try_new)
    }

    /// The sum, or `TooLarge`.
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_add(other.0).ok_or(AmountError::TooLarge).and_then(Self::try_new)
    }

    /// The difference, or `Negative`.
    pub fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_sub(other.0).map(Self).ok_or(AmountError::Negative)
    }

    /// The product with a count, or `TooLarge`.
    pub fn checked_mul(self, count: u64) -> Result<Self, AmountError> {
        self.0.checked_mul(count).ok_or(AmountError::TooLarge).and_then(Self::try_new)
    }

    /// Whole satoshi, rounded up: what a buyer must be able to pay at least.
    pub const fn to_sat_ceil(self) -> AmountSat {
        AmountSat(self.0.div_ceil(MSAT_PER_SAT))
    }
}

impl AmountSat {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All bitcoin.
    pub const MAX: Self = Self(MAX_SAT);

    /// Accepts 0 to 21 million bitcoin.
    pub fn try_new(sat: u64) -> Result<Self, AmountError> {
        if sat > Self::MAX.0 { Err(AmountError::TooLarge) } else { Ok(Self(sat)) }
    }

    /// The number of satoshi.
    pub const fn sat(self) -> u64 {
        self.0
    }

    /// The same amount in millisatoshi; cannot overflow, since the maximum fits.
    pub const fn to_msat(self) -> AmountMsat {
        AmountMsat(self.0 * MSAT_PER_SAT)
    }

    /// The sum, or `TooLarge`.
    pub fn checked_add(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_add(other.0).ok_or(AmountError::TooLarge).and_then(Self::try_new)
    }

    /// The difference, or `Negative`.
    pub fn checked_sub(self, other: Self) -> Result<Self, AmountError> {
        self.0.checked_sub(other.0).map(Self).ok_or(AmountError::Negative)
    }
}

impl TryFrom<u64> for AmountMsat {
    type Error = AmountError;
    fn try_from(msat: u64) -> Result<Self, AmountError> {
        Self::try_new(msat)
    }
}

impl From<AmountMsat> for u64 {
    fn from(amount: AmountMsat) -> u64 {
        amount.0
    }
}

impl TryFrom<u64> for AmountSat {
    type Error = AmountError;
    fn try_from(sat: u64) -> Result<Self, AmountError> {
        Self::try_new(sat)
    }
}

impl From<AmountSat> for u64 {
    fn from(amount: AmountSat) -> u64 {
        amount.0
    }
}

impl fmt::Display for AmountMsat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} msat", self.0)
    }
}

impl fmt::Display for AmountSat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sat", self.0)
    }
}

#[cfg(test)]
mod tests;
