//! The indexer against real software (PostgreSQL, bitcoind, ElectrumX), and against a server that lies.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "helpers of tests are tests"
)]

mod contract;
mod fake_electrum;
mod following;
mod harness;
mod hostile_socket;
mod lies;
mod outages;
mod refusals;
mod reorgs;
mod startup;
mod streams;
mod transactions;
mod wallet;
