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

/// What is metered of a job: texts have tokens, tensors have bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of all texts together.
    pub input_tokens: u64,
    /// Bytes of all input tensors' contents together.
    pub tensor_bytes: u64,
}

impl Usage {
    /// So many tokens.
    pub const fn tokens(input_tokens: u64) -> Self {
        Self { input_tokens, tensor_bytes: 0 }
    }

    /// So many bytes of tensors.
    pub const fn tensors(tensor_bytes: u64) -> Self {
        Self { input_tokens: 0, tensor_bytes }
    }

    /// True if neither is more than in `most`.
    pub const fn is_within(&self, most: &Self) -> bool {
        self.input_tokens <= most.input_tokens && self.tensor_bytes <= most.tensor_bytes
    }
}

/// The price of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Asked once a job.
    pub per_call: AmountMsat,
    /// Asked for each input token.
    pub per_token: AmountMsat,
    /// Asked for each byte of input tensors.
    pub per_tensor_byte: AmountMsat,
}

impl Price {
    /// True if nothing is ever asked, which cannot be invoiced.
    pub fn is_zero(&self) -> bool {
        [self.per_call, self.per_token, self.per_tensor_byte].iter().all(|part| *part == AmountMsat::ZERO)
    }

    /// `per_call + per_token * tokens + per_tensor_byte * bytes`, exact: prices are whole millisatoshi, as invoices are, so nothing
    /// is rounded.
    ///
    /// Fails when the result is zero or beyond 21 million bitcoin.
    pub fn of(&self, usage: &Usage) -> Result<AmountMsat, PriceError> {
        let tokens = self.per_token.checked_mul(usage.input_tokens)?;
        let bytes = self.per_tensor_byte.checked_mul(usage.tensor_bytes)?;
        let price = self.per_call.checked_add(tokens)?.checked_add(bytes)?;
        if price == AmountMsat::ZERO { Err(PriceError::Zero) } else { Ok(price) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(per_call: u64, per_token: u64, per_tensor_byte: u64) -> Price {
        let [per_call, per_token, per_tensor_byte] =
            [per_call, per_token, per_tensor_byte].map(|msat| AmountMsat::try_new(msat).unwrap());
        Price { per_call, per_token, per_tensor_byte }
    }

    fn msat(msat: u64) -> Result<AmountMsat, PriceError> {
        Ok(AmountMsat::try_new(msat).unwrap())
    }

    #[test]
    fn a_price_is_exact() {
        let tokens = |tokens| Usage::tokens(tokens);
        assert_eq!(price(1000, 10, 3).of(&tokens(7)), msat(1070));
        assert_eq!(price(1000, 10, 3).of(&Usage::tensors(7)), msat(1021));
        assert_eq!(price(1000, 10, 3).of(&Usage { input_tokens: 2, tensor_bytes: 5 }), msat(1035));
        assert_eq!(price(0, 1, 0).of(&tokens(1)), msat(1));
        assert_eq!(price(5, 0, 0).of(&tokens(u64::MAX)), msat(5));
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert_eq!(price(0, 10, 10).of(&Usage::default()), Err(PriceError::Zero));
        assert_eq!(price(0, 10, 0).of(&Usage::tensors(10)), Err(PriceError::Zero));
        assert!(price(0, 0, 0).is_zero() && !price(0, 0, 1).is_zero());
        let too_large = Err(PriceError::TooLarge(AmountError::TooLarge));
        for usage in [Usage::tokens(u64::MAX), Usage::tensors(u64::MAX)] {
            assert_eq!(price(1, 2, 2).of(&usage), too_large);
        }
        let most = AmountMsat::MAX.msat();
        assert_eq!(price(1, 1, 0).of(&Usage::tokens(most)), too_large);
        assert_eq!(price(0, 1, 1).of(&Usage { input_tokens: most, tensor_bytes: most }), too_large);
    }
}
