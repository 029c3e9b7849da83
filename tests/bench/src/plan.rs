//! How long and how often: the definitions' numbers, or smaller ones for a quick look.

use std::time::{Duration, Instant};

use crate::args::Args;

/// The whole run ends within this; no noisy round is repeated in its last minutes.
const WHOLE: Duration = Duration::from_secs(30 * 60);
/// What is kept for what comes after a repetition.
const RESERVE: Duration = Duration::from_secs(8 * 60);

/// The numbers of one run of the bench.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The model that is served and compared.
    pub model: String,
    /// Rounds of each comparison.
    pub rounds: usize,
    /// The timed part of an arm.
    pub arm: Duration,
    /// What runs before it, untimed.
    pub warm_up: Duration,
    /// The length of the overload.
    pub overload: Duration,
    /// Requests to the identity model.
    pub identity_requests: usize,
    /// Texts for the memory measurement.
    pub memory_texts: usize,
    /// When the run began.
    pub began: Instant,
}

impl Plan {
    /// The definitions' numbers, where the arguments say nothing else.
    pub fn new(args: &Args) -> Self {
        Self {
            model: args.model.clone(),
            rounds: args.rounds,
            arm: Duration::from_secs_f64(args.seconds),
            warm_up: Duration::from_secs_f64(args.warm_up),
            overload: Duration::from_secs_f64(args.overload_seconds),
            identity_requests: args.identity_requests,
            memory_texts: args.memory_texts,
            began: Instant::now(),
        }
    }

    /// True if any number is smaller than the definitions'.
    pub fn is_short(&self) -> bool {
        self.rounds < 7
            || self.arm < Duration::from_secs(10)
            || self.warm_up < Duration::from_secs(3)
            || self.overload < Duration::from_secs(60)
            || self.identity_requests < 1_000_000
            || self.memory_texts < 20_000
    }

    /// True while there is time for a noisy round to be run again.
    pub fn may_repeat(&self) -> bool {
        self.began.elapsed() < WHOLE.saturating_sub(RESERVE)
    }
}
