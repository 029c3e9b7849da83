//! The ledger: double entry, balances, reservations.
//!
//! Everything that moves money is an [`Operation`] on one account, named by a request id that has the same effect for
//! ever. [`Book`] applies operations one after the other: it is the specification, and what the SQL applies its batches
//! with. A line is positive for a debit and negative for a credit; the lines of a transaction sum to zero for each asset.
//!
//! | module | what it knows |
//! |---|---|
//! | [`account`] | the chart of accounts, and what an account holds |
//! | [`amount`] | assets and amounts |
//! | [`operation`] | what can be asked for |
//! | [`reservation`] | money that is set aside |
//! | [`verdict`] | what is answered |
//! | [`book`] | the accounts, and one operation after the other |
//! | [`sale`] | the end of a job on the hold rail |
//! | [`prepaid`] | a job that is paid from a balance |
//! | [`funding`] | money that comes in for a balance |
//! | [`correction`] | what a person corrects |
//! | [`page`] | page tokens |
//! | [`export`] | lines as CSV and as JSON |

pub mod account;
pub mod amount;
pub mod book;
pub mod correction;
mod decide;
pub mod export;
pub mod funding;
pub mod operation;
pub mod page;
pub mod prepaid;
pub mod reservation;
pub mod sale;
pub mod verdict;

pub use account::{Account, AccountId, CustomerId, Holder, HouseKind, Side, Stripe};
pub use amount::{Amount, Asset};
pub use book::{Book, Entry, PostedLine, StoredEntry};
pub use operation::{Action, Direction, HouseLine, Kind, Note, Operation, OperationError, derived_id};
pub use reservation::{Reservation, ReservationState, Terms};
pub use verdict::{Posted, Refusal, TransactionId, Verdict};

#[cfg(test)]
mod tests;
