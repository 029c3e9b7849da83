//! The end of a job on the hold rail, as one transaction between our own accounts.
//!
//! A hold is not posted: money that is locked is still the payer's.
//!
//! | end of the job | debit | credit |
//! |---|---|---|
//! | SETTLED | `asset:lightning` what was taken | `revenue:inference` the price, `liability:suspense` what was paid beyond it |
//! | LOST | `expense:write_off` the price | `revenue:inference` the price |
//!
//! A lost job was served, so it is earned and written off: the loss stays visible in both accounts. Both ends are named by
//! the job's id on the same account, so that a job ends in the books once.

use ailayer_primitives::{AmountMsat, JobId, RequestId};
use thiserror::Error;

use super::account::{AccountId, HouseKind, Stripe};
use super::amount::{AmountError, Asset};
use super::operation::{Action, HouseLine, Note, Operation, OperationError};

/// Money that cannot be posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SaleError {
    /// Less was taken than the price: the claim was authorised for an underpaid hold.
    #[error("{taken} were taken for a price of {price}")]
    LessThanPrice {
        /// What was taken.
        taken: AmountMsat,
        /// What should have been.
        price: AmountMsat,
    },
    /// An amount of nothing.
    #[error(transparent)]
    Amount(AmountError),
    /// A price of nothing.
    #[error(transparent)]
    Operation(#[from] OperationError),
}

/// The sale of a settled job.
pub fn settled(job_id: JobId, price: AmountMsat, taken: AmountMsat) -> Result<Operation, SaleError> {
    let beyond = taken.checked_sub(price).map_err(|_| SaleError::LessThanPrice { taken, price })?;
    let mut lines = vec![debit(HouseKind::Lightning, taken), credit(HouseKind::Revenue, price)];
    if beyond > AmountMsat::ZERO {
        lines.push(credit(HouseKind::Suspense, beyond));
    }
    post(job_id, lines, "settled")
}

/// The loss of a served job whose claim failed.
pub fn lost(job_id: JobId, price: AmountMsat) -> Result<Operation, SaleError> {
    post(job_id, vec![debit(HouseKind::WriteOff, price), credit(HouseKind::Revenue, price)], "lost")
}

fn post(job_id: JobId, lines: Vec<HouseLine>, end: &str) -> Result<Operation, SaleError> {
    let account = AccountId::house(HouseKind::Revenue, Asset::Btc, Stripe::of_job(job_id));
    let operation = Operation::try_new(account, RequestId::new(job_id.uuid()), Action::Post { lines })?;
    Ok(operation.with_note(Note::try_new(end)?))
}

fn debit(kind: HouseKind, amount: AmountMsat) -> HouseLine {
    HouseLine { kind, amount_units: amount.to_i64() }
}

/// Amounts are far below 2^63, so that the negation cannot overflow.
fn credit(kind: HouseKind, amount: AmountMsat) -> HouseLine {
    HouseLine { kind, amount_units: amount.to_i64().saturating_neg() }
}
