//! Money that comes in for a balance.
//!
//! | what | debit | credit |
//! |---|---|---|
//! | a deposit | `asset:lightning` | `liability:customer` |
//! | what is not known to be anybody's | `asset:lightning` | `liability:suspense` |
//! | an item of the suspense queue, given to a customer | `liability:suspense` | `liability:customer` |

use ailayer_primitives::{AmountMsat, JobId, RequestId};
use uuid::Uuid;

use super::account::{AccountId, CustomerId, HouseKind, Stripe};
use super::amount::{Amount, Asset};
use super::operation::{Action, HouseLine, Note, Operation, derived_id};
use super::sale::SaleError;

/// A deposit, named by its id.
pub fn credit(customer: CustomerId, deposit_id: Uuid, msat: AmountMsat) -> Result<Operation, SaleError> {
    let action = Action::Credit { amount: amount(msat)?, from: HouseKind::Lightning };
    named(customer, RequestId::new(deposit_id), action, "deposit")
}

/// What came with a deposit or by itself, named by its id, and is not known to be anybody's.
pub fn suspense(source: &str, id: Uuid, msat: AmountMsat) -> Result<Operation, SaleError> {
    let units = amount(msat)?.units();
    let lines = vec![
        HouseLine { kind: HouseKind::Lightning, amount_units: units },
        HouseLine { kind: HouseKind::Suspense, amount_units: units.saturating_neg() },
    ];
    let stripe = Stripe::of_job(JobId::new(id));
    let account = AccountId::house(HouseKind::Suspense, Asset::Btc, stripe);
    let id = derived_id(RequestId::new(id), "suspense");
    Ok(Operation::try_new(account, id, Action::Post { lines })?.with_note(Note::try_new(source)?))
}

/// An item of the suspense queue, given to a customer.
pub fn from_suspense(customer: CustomerId, item_id: Uuid, msat: AmountMsat) -> Result<Operation, SaleError> {
    let action = Action::Credit { amount: amount(msat)?, from: HouseKind::Suspense };
    named(customer, RequestId::new(item_id), action, "from suspense")
}

fn named(customer: CustomerId, id: RequestId, action: Action, note: &str) -> Result<Operation, SaleError> {
    let account = AccountId::customer(customer, Asset::Btc);
    Ok(Operation::try_new(account, id, action)?.with_note(Note::try_new(note)?))
}

fn amount(msat: AmountMsat) -> Result<Amount, SaleError> {
    Amount::try_from(msat).map_err(SaleError::Amount)
}
