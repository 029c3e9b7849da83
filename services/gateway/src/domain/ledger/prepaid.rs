//! A prepaid job in the books: the cap is set aside when it begins; when it ends, what was used is taken and the rest is free
//! again. All three are named by the job, so that each happens once.

use ailayer_primitives::{AmountMsat, JobId, RequestId};

use super::account::{AccountId, CustomerId, HouseKind};
use super::amount::{Amount, Asset};
use super::operation::{Action, Operation, OperationError, derived_id};
use super::reservation::Terms;
use super::sale::SaleError;

/// Sets the cap aside. Freed by the job's transitions and nothing else.
pub fn reserve(customer: CustomerId, job_id: JobId, cap: AmountMsat) -> Result<Operation, SaleError> {
    let action = Action::Reserve { amount: amount(cap)?, terms: Terms::HeldBy(job_id) };
    Ok(Operation::try_new(account(customer), reservation(job_id), action)?)
}

/// Takes what was used.
pub fn capture(customer: CustomerId, job_id: JobId, used: AmountMsat) -> Result<Operation, SaleError> {
    let action =
        Action::Capture { reservation: reservation(job_id), amount: amount(used)?, to: HouseKind::Revenue };
    Ok(Operation::try_new(account(customer), end(job_id), action)?)
}

/// Frees all of it. Under the same id as [`capture`]: a job ends in the books once.
pub fn void(customer: CustomerId, job_id: JobId) -> Result<Operation, OperationError> {
    let action = Action::Void { reservation: reservation(job_id) };
    Operation::try_new(account(customer), end(job_id), action)
}

const fn account(customer: CustomerId) -> AccountId {
    AccountId::customer(customer, Asset::Btc)
}

const fn reservation(job_id: JobId) -> RequestId {
    RequestId::new(job_id.uuid())
}

fn end(job_id: JobId) -> RequestId {
    derived_id(reservation(job_id), "end")
}

fn amount(msat: AmountMsat) -> Result<Amount, SaleError> {
    Amount::try_from(msat).map_err(SaleError::Amount)
}
