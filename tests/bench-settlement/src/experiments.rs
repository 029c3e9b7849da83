//! The measurements, one file a group of definitions that share their arms.

pub mod growth;
pub mod tail;
pub mod throughput;

use crate::database::Database;
use ailayer_bench::args::Pace;

/// What all measurements have in common.
pub struct Ground {
    /// The server.
    pub database: Database,
    /// Lengths and counts.
    pub pace: Pace,
}

/// Operations in flight, as pgbench has connections.
pub const IN_FLIGHT: usize = 32;
