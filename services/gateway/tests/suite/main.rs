//! The gateway against real PostgreSQL, with fakes behind its ports.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod account_limits;
mod accounts;
mod admission;
mod crashes;
mod customer;
mod deposits;
mod events;
mod failures;
mod fakes;
mod faults;
mod guards;
mod happy_path;
mod idempotency;
mod input;
mod ledger;
mod operators;
mod plans;
mod prepaid;
mod receipts;
mod replicas;
mod retention;
mod sealed;
mod seeds;
mod settlement;
mod statements;
mod tensors;
mod watching;
mod world;
