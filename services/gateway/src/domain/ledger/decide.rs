//! What an operation changes, or why it is refused. Pure: looks at the book, writes nothing.

use ailayer_primitives::{RequestId, UnixMs};

use super::account::{Account, AccountId, Holder, Stripe};
use super::amount::Amount;
use super::book::Book;
use super::operation::{Action, Direction, Kind, Operation};
use super::reservation::Reservation;
use super::verdict::Refusal;

/// What an operation changes. Lines are debit positive and sum to zero.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// At most one line an account, the operation's first.
    pub lines: Vec<(AccountId, i64)>,
    /// What is set aside more, or less.
    pub reserved_units: i64,
    /// The reservation as it will be.
    pub reservation: Option<(RequestId, Reservation)>,
    /// The new mark.
    pub frozen: Option<bool>,
    /// The new limit.
    pub limit_units: Option<i64>,
    /// What is shown as the operation's amount.
    pub amount_units: i64,
    /// What was spent already of a reversed deposit.
    pub shortfall_units: i64,
}

pub(super) fn decide(
    operation: &Operation,
    stripe: Stripe,
    book: &Book,
    now: UnixMs,
) -> Result<Change, Refusal> {
    let id = operation.account();
    let account = book.account(id).ok_or(Refusal::UnknownAccount)?;
    let house = |kind| operation.house(kind, stripe);
    match operation.action() {
        Action::Credit { amount, from } => Ok(transfer(house(*from), id, *amount)),
        Action::Debit { amount, to } => {
            check_spendable(account, *amount)?;
            Ok(transfer(id, house(*to), *amount))
        }
        Action::Reserve { amount, terms } => {
            check_spendable(account, *amount)?;
            let reservation = Reservation::new(*amount, *terms, now);
            Ok(Change {
                reserved_units: amount.units(),
                reservation: Some((operation.request_id(), reservation)),
                amount_units: amount.units(),
                ..Change::default()
            })
        }
        Action::Capture { reservation, amount, to } => {
            let pending = pending(book, id, *reservation)?;
            let freed = freed(*reservation, pending.capture(*amount, now)?);
            Ok(Change { amount_units: amount.units(), ..freed }.with(transfer(id, house(*to), *amount)))
        }
        Action::Void { reservation } => Ok(freed(*reservation, pending(book, id, *reservation)?.void(now)?)),
        Action::Expire { reservation } => {
            Ok(freed(*reservation, pending(book, id, *reservation)?.expire(now)?))
        }
        Action::Reverse { deposit, from } => reverse(operation, account, *deposit, house(*from), book),
        Action::Adjust { direction: Direction::Credit, amount, against } => {
            Ok(transfer(house(*against), id, *amount))
        }
        Action::Adjust { direction: Direction::Debit, amount, against } => {
            // A person may correct a frozen account, but not below its limit.
            check_available(account, *amount)?;
            Ok(transfer(id, house(*against), *amount))
        }
        Action::Post { lines } => Ok(Change {
            lines: lines.iter().map(|line| (house(line.kind), line.amount_units)).collect(),
            ..Change::default()
        }),
        Action::Freeze => Ok(Change { frozen: Some(true), ..Change::default() }),
        Action::Unfreeze => Ok(Change { frozen: Some(false), ..Change::default() }),
        Action::SetLimit { limit_units } => {
            let with_limit = Account { limit_units: Some(*limit_units), ..*account };
            if with_limit.available_units() < 0 {
                return Err(Refusal::InsufficientFunds);
            }
            Ok(Change { limit_units: Some(*limit_units), amount_units: *limit_units, ..Change::default() })
        }
    }
}

impl Change {
    fn with(self, transfer: Self) -> Self {
        Self { lines: transfer.lines, ..self }
    }
}

/// From the account that is credited to the one that is debited it reads the other way round: `debited` first.
fn transfer(debited: AccountId, credited: AccountId, amount: Amount) -> Change {
    let units = amount.units();
    Change {
        // An amount is positive, so that its negation cannot overflow.
        lines: vec![(debited, units), (credited, units.saturating_neg())],
        amount_units: units,
        ..Change::default()
    }
}

fn check_spendable(account: &Account, amount: Amount) -> Result<(), Refusal> {
    if account.frozen {
        return Err(Refusal::Frozen);
    }
    check_available(account, amount)
}

fn check_available(account: &Account, amount: Amount) -> Result<(), Refusal> {
    let suffices = account.available_units() >= i128::from(amount.units());
    if suffices { Ok(()) } else { Err(Refusal::InsufficientFunds) }
}

fn pending(book: &Book, account: AccountId, reservation: RequestId) -> Result<Reservation, Refusal> {
    book.reservation(account, reservation).copied().ok_or(Refusal::UnknownReservation)
}

fn freed(id: RequestId, ended: Reservation) -> Change {
    let units = ended.amount.units();
    Change {
        reserved_units: units.saturating_neg(),
        reservation: Some((id, ended)),
        amount_units: units,
        ..Change::default()
    }
}

/// Takes what is there; what is not is owed from now on.
fn reverse(
    operation: &Operation,
    account: &Account,
    deposit: RequestId,
    house: AccountId,
    book: &Book,
) -> Result<Change, Refusal> {
    let id = operation.account();
    let stored = book.entry(id, deposit).filter(|entry| entry.kind == Kind::Credit);
    let units = stored.ok_or(Refusal::UnknownDeposit)?.amount_units;
    if book.is_reversed(id, deposit) {
        return Err(Refusal::AlreadyReversed);
    }
    let available = i64::try_from(account.available_units().max(0)).unwrap_or(i64::MAX);
    let taken = units.min(available);
    let shortfall_units = units.saturating_sub(taken);
    let receivable = match id.holder {
        Holder::Customer(customer) => AccountId::receivable(customer, id.asset),
        Holder::Receivable(_) | Holder::House(..) => return Err(Refusal::UnknownAccount),
    };
    let debits = [(id, taken), (receivable, shortfall_units)].into_iter().filter(|(_, units)| *units > 0);
    Ok(Change {
        lines: debits.chain([(house, units.saturating_neg())]).collect(),
        frozen: (shortfall_units > 0).then_some(true),
        amount_units: units,
        shortfall_units,
        ..Change::default()
    })
}
