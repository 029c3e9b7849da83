//! The ledger's tables.
//!
//! | module | what it does |
//! |---|---|
//! | [`batch`] | applies operations in a transaction of the caller's |
//! | [`accounts`] | opens accounts, reads them |
//! | [`reservations`] | finds what has expired |
//! | [`statements`] | the lines of one account, page by page, and as a file |
//! | [`transactions`] | the list of all transactions |
//! | [`audit`] | trial balance, and whether the tables agree with each other |

pub mod accounts;
pub mod audit;
pub mod batch;
mod locked;
pub mod reservations;
pub mod statements;
pub mod transactions;
mod write;

pub use batch::{Submission, apply_in_tx, apply_one_in_tx};
