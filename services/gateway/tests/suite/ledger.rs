//! The ledger against real PostgreSQL: its SQL must do what the pure `Book` does, whoever else writes and whatever is cut.

mod bank;
mod differential;
mod lists;
mod proxy;
mod riders;
mod rules;
mod writer;
