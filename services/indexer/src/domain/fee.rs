//! Fee rates: integers inside, whatever the server writes outside.

use thiserror::Error;

const SAT_PER_BTC_DIGITS: usize = 8;
/// 0.1 BTC per 1000 virtual bytes: Bitcoin Core's own default for a rate that must be a mistake.
const MAX_PLAUSIBLE_SAT_PER_KVB: u64 = 10_000_000;

/// A fee rate in satoshi per 1000 virtual bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeeRate {
    sat_per_kvb: u64,
}

/// A rate that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FeeRateError {
    /// Not a decimal number of at least 0.
    #[error("fee rate is not a decimal number")]
    Malformed,
    /// Above 0.1 BTC per 1000 virtual bytes.
    #[error("fee rate is implausibly high")]
    Implausible,
}

impl FeeRate {
    /// A rate in satoshi per 1000 virtual bytes, at most 10,000,000.
    pub const fn try_from_sat_per_kvb(sat_per_kvb: u64) -> Result<Self, FeeRateError> {
        if sat_per_kvb > MAX_PLAUSIBLE_SAT_PER_KVB {
            return Err(FeeRateError::Implausible);
        }
        Ok(Self { sat_per_kvb })
    }

    /// Reads BTC per 1000 virtual bytes in decimal notation without exponent, such as `0.00001234`.
    ///
    /// Digits below a satoshi round up, so that the rate never falls below what was asked for.
    pub fn try_from_btc_per_kvb(text: &str) -> Result<Self, FeeRateError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return Err(FeeRateError::Malformed);
        }
        let (satoshi, below) = fraction.split_at(fraction.len().min(SAT_PER_BTC_DIGITS));
        let digits = format!("{whole}{satoshi:0<SAT_PER_BTC_DIGITS$}");
        let floor: u64 = digits.parse().map_err(|_| FeeRateError::Implausible)?;
        let round_up = u64::from(below.bytes().any(|digit| digit != b'0'));
        Self::try_from_sat_per_kvb(floor.saturating_add(round_up))
    }

    /// Satoshi per 1000 virtual bytes.
    pub const fn sat_per_kvb(self) -> u64 {
        self.sat_per_kvb
    }
}

/// The answer to "what rate confirms in time".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeEstimate {
    /// The rate, at least the relay minimum.
    pub fee_rate: FeeRate,
    /// True if there was no estimate and `fee_rate` is the relay minimum.
    pub fallback: bool,
}

impl FeeEstimate {
    /// An estimate never falls below what nodes relay.
    pub fn new(estimate: Option<FeeRate>, relay_minimum: FeeRate) -> Self {
        let fee_rate = estimate.map_or(relay_minimum, |rate| rate.max(relay_minimum));
        Self { fee_rate, fallback: estimate.is_none() }
    }
}

#[cfg(test)]
mod tests;
