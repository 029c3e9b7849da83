//! Assets, and amounts in their smallest units.

use std::fmt;
use std::str::FromStr;

use ailayer_primitives::{AmountMsat, Digest};
use thiserror::Error;

/// The name of bitcoin in rows, with its unit.
const BTC: &str = "BTC-msat";

/// What an account is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asset {
    /// Bitcoin, in millisatoshi.
    Btc,
    /// An asset on Liquid by its id, in its smallest unit.
    Liquid(Digest),
}

/// A text that names no asset.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no asset is named {0:?}")]
pub struct UnknownAsset(pub String);

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Btc => f.write_str(BTC),
            Self::Liquid(asset_id) => asset_id.fmt(f),
        }
    }
}

impl FromStr for Asset {
    type Err = UnknownAsset;
    fn from_str(text: &str) -> Result<Self, UnknownAsset> {
        if text == BTC {
            return Ok(Self::Btc);
        }
        text.parse().map(Self::Liquid).map_err(|_| UnknownAsset(text.to_owned()))
    }
}

/// An amount that cannot be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AmountError {
    /// Nothing, or less.
    #[error("an amount must be more than zero")]
    NotPositive,
    /// More than all bitcoin in millisatoshi.
    #[error("an amount must be at most {}", Amount::MAX.units())]
    TooLarge,
}

/// What one operation moves: more than zero smallest units, at most all bitcoin in millisatoshi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

impl Amount {
    /// The most that one operation moves.
    pub const MAX: Self = Self(AmountMsat::MAX.to_i64());

    /// Accepts 1 to [`Self::MAX`].
    pub const fn try_new(units: i64) -> Result<Self, AmountError> {
        match units {
            ..=0 => Err(AmountError::NotPositive),
            _ if units > Self::MAX.0 => Err(AmountError::TooLarge),
            _ => Ok(Self(units)),
        }
    }

    /// The number of smallest units.
    pub const fn units(self) -> i64 {
        self.0
    }
}

impl TryFrom<AmountMsat> for Amount {
    type Error = AmountError;
    fn try_from(amount: AmountMsat) -> Result<Self, AmountError> {
        Self::try_new(amount.to_i64())
    }
}
