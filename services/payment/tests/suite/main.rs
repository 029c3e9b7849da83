//! The payment service against real PostgreSQL, real bitcoind and real Lightning nodes; and, where a node must
//! misbehave, against a fake one that passes the same contract.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking, helpers outside #[test] functions too"
)]

mod bench;
mod claim;
mod contract;
mod crash;
mod create;
mod deadline;
mod events;
mod fake_node;
mod funds;
mod hold_faults;
mod nodes;
mod payout_faults;
mod payouts;
mod release;
mod restart;
mod running;
mod serve;
mod world;
