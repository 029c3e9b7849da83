//! The devnet on real programs.

mod backbone;
mod bitcoind;
mod postgres;
mod process;
mod services;
mod tear_down;
