//! The payment service against real PostgreSQL, real bitcoind and real Lightning nodes; and, where a node must
//! misbehave, against a fake one that passes the same contract.

mod claim;
mod contract;
mod crash;
mod create;
mod deadline;
mod events;
mod fake_node;
mod faults;
mod payouts;
mod release;
mod restart;
mod serve;
mod world;
