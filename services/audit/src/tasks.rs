//! What runs in the background, one task a file.

pub mod anchor_checkpoints;
pub mod ping_database;
pub mod sequence_entries;
pub mod sign_checkpoints;
