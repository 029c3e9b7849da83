//! The rules, pure: no clock, no socket, no database.

pub mod block;
pub mod difficulty;
pub mod fee;
pub mod header_chain;
pub mod merkle;
pub mod relevance;
