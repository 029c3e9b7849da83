//! How much and how long: the definitions' numbers, or smaller ones for a quick look.

use std::time::Duration;

use ailayer_bench::args::Pace;

use crate::args::Args;

/// The numbers of one run of the bench.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The model that is served and compared.
    pub model: String,
    /// Rounds and arms.
    pub pace: Pace,
    /// The length of the overload.
    pub overload: Duration,
    /// Requests to the identity model.
    pub identity_requests: usize,
    /// Texts for the memory measurement.
    pub memory_texts: usize,
    /// Any number is smaller than the definitions'.
    pub is_short: bool,
}

impl Plan {
    /// The definitions' numbers, where the arguments say nothing else.
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        Ok(Self {
            model: args.model.clone(),
            pace: args.run.pace()?,
            overload: Duration::try_from_secs_f64(args.overload_seconds)?,
            identity_requests: args.identity_requests,
            memory_texts: args.memory_texts,
            is_short: args.run.is_short()
                || args.overload_seconds < 60.0
                || args.identity_requests < 1_000_000
                || args.memory_texts < 20_000,
        })
    }
}
