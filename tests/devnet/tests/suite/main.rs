//! The devnet on real programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

mod backbone;
mod bitcoind;
mod postgres;
mod process;
mod services;
mod tear_down;
