//! The audit service as its callers and its database see it: real PostgreSQL, real bitcoind, real kills.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, helpers outside #[test] functions too"
)]

mod anchoring;
mod appending;
mod bitcoind_indexer;
mod child;
mod damage;
mod harness;
mod killing;
mod overload;
mod world;
