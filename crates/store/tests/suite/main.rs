//! The store on a real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

mod event_log;
mod inbox;
mod migrations;
mod outages;
mod outbox;
mod schema;
mod single_writer;
