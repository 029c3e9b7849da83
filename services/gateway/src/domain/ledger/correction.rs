//! What a person corrects in the books, once another one agrees.
//!
//! | what | debit | credit |
//! |---|---|---|
//! | a customer's balance grows | `expense:write_off` | `liability:customer` |
//! | a customer's balance shrinks | `liability:customer` | `expense:write_off` |
//! | what was taken is lost with a channel | `expense:channel_loss` | `asset:lightning` |
//! | what was lost comes back | `asset:lightning` | `expense:channel_loss` |
//!
//! A job whose money is lost with a channel stays settled: it was taken, and the loss is ours.

use ailayer_primitives::{JobId, RequestId};
use uuid::Uuid;

use super::account::{AccountId, CustomerId, HouseKind, Stripe};
use super::amount::{Amount, Asset};
use super::operation::{Action, Direction, HouseLine, Note, Operation};
use super::sale::SaleError;

/// What a correction is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A customer's balance: the amount is by how much it grows.
    Customer(CustomerId),
    /// What was lost with channels: the amount is by how much that grows.
    ChannelLoss,
}

impl Subject {
    /// The name in rows.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Customer(_) => "customer",
            Self::ChannelLoss => "channel_loss",
        }
    }

    /// Whose balance, if it is one.
    pub const fn customer(self) -> Option<CustomerId> {
        match self {
            Self::Customer(customer) => Some(customer),
            Self::ChannelLoss => None,
        }
    }
}

/// The correction of that name. `amount_msat` may be negative.
///
/// # Errors
/// `Amount` if it is 0, or more than all bitcoin either way.
pub fn correction(id: Uuid, subject: Subject, amount_msat: i64, note: Note) -> Result<Operation, SaleError> {
    let units = i64::try_from(amount_msat.unsigned_abs()).unwrap_or(i64::MAX);
    let amount = Amount::try_new(units).map_err(SaleError::Amount)?;
    let (account, action) = match subject {
        Subject::Customer(customer) => {
            let direction = if amount_msat > 0 { Direction::Credit } else { Direction::Debit };
            let action = Action::Adjust { direction, amount, against: HouseKind::WriteOff };
            (AccountId::customer(customer, Asset::Btc), action)
        }
        Subject::ChannelLoss => {
            let lines = vec![
                HouseLine { kind: HouseKind::ChannelLoss, amount_units: amount_msat },
                HouseLine { kind: HouseKind::Lightning, amount_units: amount_msat.saturating_neg() },
            ];
            let stripe = Stripe::of_job(JobId::new(id));
            (AccountId::house(HouseKind::ChannelLoss, Asset::Btc, stripe), Action::Post { lines })
        }
    };
    Ok(Operation::try_new(account, RequestId::new(id), action)?.with_note(note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_an_expense_against_what_was_taken_and_may_come_back() {
        for (msat, expected) in [(700, [700, -700]), (-700, [-700, 700])] {
            let operation =
                correction(Uuid::from_u128(7), Subject::ChannelLoss, msat, Note::default()).unwrap();
            let Action::Post { lines } = operation.action() else { panic!("{operation:?}") };
            assert_eq!(lines.iter().map(|line| line.amount_units).collect::<Vec<_>>(), expected);
            assert_eq!(lines[0].kind, HouseKind::ChannelLoss);
            assert_eq!(lines[1].kind, HouseKind::Lightning);
        }
    }

    #[test]
    fn nothing_and_more_than_there_is_are_refused() {
        for subject in [Subject::ChannelLoss, Subject::Customer(CustomerId::new(Uuid::from_u128(1)))] {
            for msat in [0, i64::MIN, i64::MAX] {
                assert!(matches!(
                    correction(Uuid::from_u128(7), subject, msat, Note::default()),
                    Err(SaleError::Amount(_))
                ));
            }
        }
    }
}
