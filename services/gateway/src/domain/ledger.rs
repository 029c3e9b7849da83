//! The double entry of the hold rail.
//!
//! A posting is positive for a debit and negative for a credit; every transaction sums to zero. A hold is not posted:
//! money that is locked is still the payer's.
//!
//! | end of the job | debit | credit |
//! |---|---|---|
//! | SETTLED | `lightning` what was taken | `revenue` the price, `suspense` what was paid beyond it |
//! | LOST | `write_off` the price | `revenue` the price |
//!
//! A lost job was served, so it is earned and written off: the loss stays visible in both accounts.

use ailayer_primitives::AmountMsat;
use thiserror::Error;

/// The unit of every posting of this rail.
pub const ASSET: &str = "BTC-msat";

/// An account of the gateway's own books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Account {
    /// What is ours in Lightning channels.
    Lightning,
    /// What was earned.
    Revenue,
    /// What was paid beyond the price: not ours yet.
    Suspense,
    /// What was served and not paid.
    WriteOff,
}

impl Account {
    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lightning => "asset:lightning",
            Self::Revenue => "revenue:inference",
            Self::Suspense => "liability:suspense",
            Self::WriteOff => "expense:write_off",
        }
    }
}

/// One line: positive is a debit, negative a credit, in millisatoshi; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// Which account.
    pub account: Account,
    /// How much.
    pub amount_msat: i64,
}

/// A ledger transaction of one job: at least two postings that sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerTransaction {
    /// "settled" or "lost".
    pub kind: &'static str,
    /// The lines.
    pub postings: Vec<Posting>,
}

/// Money that cannot be posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LedgerError {
    /// Less was taken than the price: the claim was authorised for an underpaid hold.
    #[error("{taken} were taken for a price of {price}")]
    LessThanPrice {
        /// What was taken.
        taken: AmountMsat,
        /// What should have been.
        price: AmountMsat,
    },
}

impl LedgerTransaction {
    /// The sale of a settled job.
    pub fn settled(price: AmountMsat, taken: AmountMsat) -> Result<Self, LedgerError> {
        let beyond = taken.checked_sub(price).map_err(|_| LedgerError::LessThanPrice { taken, price })?;
        let mut postings = vec![debit(Account::Lightning, taken), credit(Account::Revenue, price)];
        if beyond > AmountMsat::ZERO {
            postings.push(credit(Account::Suspense, beyond));
        }
        Ok(Self { kind: "settled", postings })
    }

    /// The loss of a served job whose claim failed.
    pub fn lost(price: AmountMsat) -> Self {
        Self {
            kind: "lost",
            postings: vec![debit(Account::WriteOff, price), credit(Account::Revenue, price)],
        }
    }
}

fn debit(account: Account, amount: AmountMsat) -> Posting {
    Posting { account, amount_msat: amount.to_i64() }
}

/// Amounts are far below 2^63, so that the negation cannot overflow.
fn credit(account: Account, amount: AmountMsat) -> Posting {
    Posting { account, amount_msat: amount.to_i64().saturating_neg() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_transaction_sums_to_zero(price in 1..=AmountMsat::MAX.msat(), beyond in 0u64..10_000) {
            let price = AmountMsat::try_new(price).unwrap();
            let Ok(taken) = AmountMsat::try_new(price.msat() + beyond) else { return Ok(()) };
            for transaction in [LedgerTransaction::settled(price, taken).unwrap(), LedgerTransaction::lost(price)] {
                let sum: i128 = transaction.postings.iter().map(|it| i128::from(it.amount_msat)).sum();
                prop_assert_eq!(sum, 0);
                prop_assert!(transaction.postings.len() >= 2);
                prop_assert!(transaction.postings.iter().all(|it| it.amount_msat != 0));
            }
        }
    }

    #[test]
    fn less_than_the_price_is_never_posted() {
        let (price, taken) = (AmountMsat::try_new(2).unwrap(), AmountMsat::try_new(1).unwrap());
        assert_eq!(
            LedgerTransaction::settled(price, taken),
            Err(LedgerError::LessThanPrice { taken, price })
        );
    }
}
