//! The rules of selling, without wires: no clock, no socket, no protobuf, no SQL.

pub mod job;
pub mod price;
pub mod release;
