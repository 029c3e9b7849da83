//! What runs beside the calls.

pub mod follow_chain;
