//! The rules of selling, without wires: no clock, no socket, no protobuf, no SQL.

pub mod api_key;
pub mod brake;
pub mod deposit;
pub mod job;
pub mod keys;
pub mod ledger;
pub mod order;
pub mod payer;
pub mod price;
pub mod rate;
pub mod release;
pub mod statements;
pub mod steady;
