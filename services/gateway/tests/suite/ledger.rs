//! The ledger against real PostgreSQL: its SQL must do what the pure `Book` does, whoever else writes and whatever is cut.

pub mod bank;
mod differential;
mod lists;
pub mod proxy;
mod recall;
mod riders;
mod rules;
mod writer;
