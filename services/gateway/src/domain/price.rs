//! What an answer costs.

use ailayer_primitives::{AmountError, AmountMsat};
use thiserror::Error;

/// A price that cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PriceError {
    /// More than an amount can be.
    #[error("the price is beyond all bitcoin")]
    TooLarge(#[from] AmountError),
    /// Lightning cannot lock nothing.
    #[error("the price is zero, and an invoice asks at least 1 msat")]
    Zero,
}

/// The price of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Asked once a job.
    pub per_call: AmountMsat,
    /// Asked for each input token.
    pub per_token: AmountMsat,
}

impl Price {
    /// `per_call + per_token * tokens`, exact: prices are whole millisatoshi, as invoices are, so nothing is rounded.
    ///
    /// Fails when the result is zero or beyond 21 million bitcoin.
    pub fn of(&self, tokens: u64) -> Result<AmountMsat, PriceError> {
        let price = self.per_call.checked_add(self.per_token.checked_mul(tokens)?)?;
        if price == AmountMsat::ZERO { Err(PriceError::Zero) } else { Ok(price) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(per_call: u64, per_token: u64) -> Price {
        Price {
            per_call: AmountMsat::try_new(per_call).unwrap(),
            per_token: AmountMsat::try_new(per_token).unwrap(),
        }
    }

    #[test]
    fn a_price_is_exact() {
        assert_eq!(price(1000, 10).of(7), AmountMsat::try_new(1070).map_err(PriceError::from));
        assert_eq!(price(0, 1).of(1), AmountMsat::try_new(1).map_err(PriceError::from));
        assert_eq!(price(5, 0).of(u64::MAX), AmountMsat::try_new(5).map_err(PriceError::from));
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert_eq!(price(0, 10).of(0), Err(PriceError::Zero));
        assert_eq!(price(0, 0).of(10), Err(PriceError::Zero));
        assert_eq!(price(1, 2).of(u64::MAX), Err(PriceError::TooLarge(AmountError::TooLarge)));
        assert_eq!(price(1, 1).of(AmountMsat::MAX.msat()), Err(PriceError::TooLarge(AmountError::TooLarge)));
    }
}
