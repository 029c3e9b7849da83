//! A version is loaded and warmed in a child process before it is in this one: what crashes, eats memory or never ends does it there.
//!
//! The child is this program again, or another that calls [`run`]. It reads one [`Order`] from its standard input, limits itself,
//! loads, and writes one [`Report`]. Both sides are here so that they cannot disagree.

use std::path::PathBuf;
use std::time::Duration;

use ailayer_primitives::Digest;
use serde::{Deserialize, Serialize};

mod child;
mod parent;

pub use child::run;
pub use parent::{NO_TELEMETRY, Trial, TrialError};

/// The argument that makes a program call [`run`].
pub const ARGUMENT: &str = "trial-load";

/// What the child shall load, and what it may use.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// The copy, as a repository of its own.
    root: PathBuf,
    model: String,
    version: String,
    model_digest: Digest,
    library: PathBuf,
    /// The process that asked: one that is gone by now never learns the answer.
    parent: i32,
    limits: Limits,
    service: ServiceKeys,
}

/// The keys of the service's configuration that loading depends on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ServiceKeys {
    intra_threads: usize,
    queue_capacity: usize,
    queue_bytes: usize,
    max_text_bytes: usize,
    max_items: usize,
    max_batch_rows: usize,
    max_inference_message_bytes: usize,
}

/// What a trial may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space beyond what the engine itself takes.
    pub memory_bytes: u64,
    /// Time on processors, of all threads together.
    pub cpu_time: Duration,
    /// Time on the clock.
    pub wall_time: Duration,
}

/// What the child found.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    /// It serves.
    Loaded {
        /// Memory of one instance: what was in use at most, while it was loaded and while its largest batch ran, beyond the engine's own.
        instance_bytes: u64,
    },
    /// It does not load.
    Failed {
        /// Why.
        reason: String,
        /// It had no memory left.
        out_of_memory: bool,
    },
}
