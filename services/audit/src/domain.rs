//! The rules of the log and of its anchors: no clock, no socket, no SQL.

pub mod anchor;
pub mod batch;
pub mod commitment;
pub mod entry;
pub mod spv;
