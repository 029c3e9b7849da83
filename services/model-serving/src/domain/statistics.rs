//! What a model version has done since it was loaded, counted as Triton counts it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Batch sizes are told apart up to this many; Triton's clients expect one entry a size.
const MOST_BATCH_SIZES: usize = 1024;

/// How a request ended: success, or one of Triton's reasons of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Answered.
    Success,
    /// Not taken: overload, or its deadline passed while it waited.
    Rejected,
    /// The caller left.
    Canceled,
    /// The engine failed.
    Backend,
    /// Anything else, refused input included.
    Other,
}

impl Outcome {
    /// The failures, in the order of Triton's documentation.
    pub const FAILURES: [Self; 4] = [Self::Rejected, Self::Canceled, Self::Backend, Self::Other];

    /// Triton's word for it in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Rejected => "REJECTED",
            Self::Canceled => "CANCELED",
            Self::Backend => "BACKEND",
            Self::Other => "OTHER",
        }
    }
}

/// One run of the engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchExecuted {
    /// The requests in the batch.
    pub requests: usize,
    /// The rows in the batch.
    pub rows: usize,
    /// The tokens without padding; 0 if the model takes no texts.
    pub tokens: usize,
    /// The tokens the engine saw: rows times padded length.
    pub padded_tokens: usize,
    /// Time spent putting the batch together.
    pub compute_input: Duration,
    /// Time in the engine.
    pub compute_infer: Duration,
    /// Time spent taking the outputs apart.
    pub compute_output: Duration,
}

/// The end of one request.
#[derive(Debug, Clone, Copy)]
pub struct RequestFinished {
    /// How it ended.
    pub outcome: Outcome,
    /// From its arrival to its answer.
    pub total: Duration,
    /// Time in the queue.
    pub queue: Duration,
    /// As [`BatchExecuted::compute_input`] of its batch.
    pub compute_input: Duration,
    /// As [`BatchExecuted::compute_infer`] of its batch.
    pub compute_infer: Duration,
    /// As [`BatchExecuted::compute_output`] of its batch.
    pub compute_output: Duration,
    /// Its rows.
    pub rows: usize,
}

/// How often something happened, and how long it took together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DurationSum {
    /// How often.
    pub count: u64,
    /// How long together.
    pub total: Duration,
}

impl DurationSum {
    fn add(&mut self, time: Duration) {
        self.count = self.count.saturating_add(1);
        self.total = self.total.saturating_add(time);
    }
}

/// The runs of one batch size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchStatistics {
    /// Putting the batches together.
    pub compute_input: DurationSum,
    /// In the engine.
    pub compute_infer: DurationSum,
    /// Taking the outputs apart.
    pub compute_output: DurationSum,
}

/// Everything counted for a model version; counters only grow.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    /// When the last batch ended; none before the first.
    pub last_inference: Option<SystemTime>,
    /// The rows of the requests that succeeded.
    pub inferences: u64,
    /// The runs of the engine.
    pub executions: u64,
    /// The requests in all runs; over `executions` it is how many share a run.
    pub batched_requests: u64,
    /// The requests that were taken into the queue.
    pub queued: u64,
    /// The requests that wait now.
    pub pending: usize,
    /// Requests that succeeded, from arrival to answer.
    pub success: DurationSum,
    /// Requests that failed, from arrival to answer.
    pub fail: DurationSum,
    /// The failures in the order of [`Outcome::FAILURES`].
    pub failures: [u64; 4],
    /// Requests that succeeded: in the queue.
    pub queue: DurationSum,
    /// Requests that succeeded: their batches being put together.
    pub compute_input: DurationSum,
    /// Requests that succeeded: in the engine.
    pub compute_infer: DurationSum,
    /// Requests that succeeded: their batches being taken apart.
    pub compute_output: DurationSum,
    /// The tokens that were run, without padding.
    pub tokens: u64,
    /// The tokens that were run, padding included.
    pub padded_tokens: u64,
    /// The runs by their number of rows.
    pub batches: BTreeMap<usize, BatchStatistics>,
}

impl Statistics {
    /// Counts a run of the engine that ended at `now`.
    pub fn batch(&mut self, batch: &BatchExecuted, now: SystemTime) {
        self.last_inference = Some(now);
        self.executions = self.executions.saturating_add(1);
        self.batched_requests = self.batched_requests.saturating_add(count(batch.requests));
        self.tokens = self.tokens.saturating_add(count(batch.tokens));
        self.padded_tokens = self.padded_tokens.saturating_add(count(batch.padded_tokens));
        // The first dimension of a literal shape is the client's choice: the sizes told apart are bounded.
        if self.batches.len() < MOST_BATCH_SIZES || self.batches.contains_key(&batch.rows) {
            let size = self.batches.entry(batch.rows).or_default();
            size.compute_input.add(batch.compute_input);
            size.compute_infer.add(batch.compute_infer);
            size.compute_output.add(batch.compute_output);
        }
    }

    /// Counts the end of a request.
    pub fn request(&mut self, request: &RequestFinished) {
        if request.outcome == Outcome::Success {
            self.inferences = self.inferences.saturating_add(count(request.rows));
            self.success.add(request.total);
            self.queue.add(request.queue);
            self.compute_input.add(request.compute_input);
            self.compute_infer.add(request.compute_infer);
            self.compute_output.add(request.compute_output);
            return;
        }
        self.fail.add(request.total);
        for (failure, counted) in Outcome::FAILURES.iter().zip(&mut self.failures) {
            if *failure == request.outcome {
                *counted = counted.saturating_add(1);
            }
        }
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(outcome: Outcome) -> RequestFinished {
        let time = Duration::from_micros;
        RequestFinished {
            outcome,
            total: time(10),
            queue: time(4),
            compute_input: time(1),
            compute_infer: time(3),
            compute_output: time(2),
            rows: 2,
        }
    }

    #[test]
    fn only_success_counts_as_inference() {
        let mut statistics = Statistics::default();
        for outcome in [Outcome::Success, Outcome::Rejected, Outcome::Rejected, Outcome::Backend] {
            statistics.request(&finished(outcome));
        }
        assert_eq!((statistics.inferences, statistics.success.count, statistics.fail.count), (2, 1, 3));
        assert_eq!(statistics.failures, [2, 0, 1, 0]);
        assert_eq!(statistics.queue.total, Duration::from_micros(4));
    }

    #[test]
    fn batches_are_told_apart_by_rows_up_to_a_bound() {
        let mut statistics = Statistics::default();
        for rows in (1..=2 * MOST_BATCH_SIZES).chain([1]) {
            let batch = BatchExecuted { rows, tokens: 3, padded_tokens: 4, ..Default::default() };
            statistics.batch(&batch, SystemTime::UNIX_EPOCH);
        }
        assert_eq!(statistics.batches.len(), MOST_BATCH_SIZES);
        assert_eq!(statistics.batches.get(&1).map(|size| size.compute_infer.count), Some(2));
        assert_eq!(statistics.executions, 2 * 1024 + 1);
        assert_eq!(statistics.padded_tokens - statistics.tokens, 2 * 1024 + 1);
    }
}
