//! Counters by model version that are read when metrics are collected, so that series of unloaded versions end.

use std::sync::Once;

use ailayer_platform::telemetry::{Observe, observed_counter, observed_gauge};

use super::model_metrics::{loaded, memory};
use crate::domain::statistics::{Outcome, Statistics};

/// Registers them once a process, after telemetry has started.
pub fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        observed_counter(
            "ailayer.serving.model.requests",
            "{request}",
            "Requests by model version and outcome.",
            outcomes,
        );
        observed_counter(
            "ailayer.serving.model.executions",
            "{run}",
            "Runs of the engine by model version.",
            each(|statistics| statistics.executions),
        );
        observed_counter(
            "ailayer.serving.model.batched_requests",
            "{request}",
            "Requests in all runs of the engine by model version.",
            each(|statistics| statistics.batched_requests),
        );
        observed_counter(
            "ailayer.serving.model.rows",
            "{row}",
            "Rows of answered requests by model version.",
            each(|statistics| statistics.inferences),
        );
        observed_counter(
            "ailayer.serving.model.tokens",
            "{token}",
            "Tokens run by model version, without padding.",
            each(|statistics| statistics.tokens),
        );
        observed_counter(
            "ailayer.serving.model.padding",
            "{token}",
            "Tokens of padding run by model version.",
            each(|statistics| statistics.padded_tokens.saturating_sub(statistics.tokens)),
        );
        observed_gauge(
            "ailayer.serving.model.queue.length",
            "{request}",
            "Requests that wait for a model version.",
            each(|statistics| u64::try_from(statistics.pending).unwrap_or(u64::MAX)),
        );
        observed_gauge(
            "ailayer.serving.model.memory",
            "By",
            "Memory a model version was found to take when it was tried out, all instances.",
            |observe| {
                for (id, bytes) in memory() {
                    observe(bytes, &[("model", &id.name), ("version", &id.version.to_string())]);
                }
            },
        );
    });
}

fn each(value: fn(&Statistics) -> u64) -> impl Fn(Observe<'_>) {
    move |observe| {
        for (id, statistics) in loaded() {
            let version = id.version.to_string();
            observe(value(&statistics), &[("model", &id.name), ("version", &version)]);
        }
    }
}

fn outcomes(observe: Observe<'_>) {
    for (id, statistics) in loaded() {
        let version = id.version.to_string();
        let mut tell = |outcome: Outcome, count| {
            let attributes =
                [("model", id.name.as_str()), ("version", &version), ("outcome", outcome.name())];
            observe(count, &attributes);
        };
        tell(Outcome::Success, statistics.success.count);
        for (failure, count) in Outcome::FAILURES.into_iter().zip(statistics.failures) {
            tell(failure, count);
        }
    }
}
