//! What is measured.

use std::time::Duration;

use ailayer_platform::telemetry::{
    Counter, Gauge, Histogram, add_metrics_section, counter, gauge, histogram,
};

mod distributions;
mod model_metrics;
mod observed;
mod triton_page;

use distributions::distributions;
pub use model_metrics::ModelMetrics;

/// The instruments of the service.
#[derive(Debug)]
pub struct Metrics {
    requests: Counter,
    queue_time: Histogram,
    inference_time: Histogram,
    input_tokens: Counter,
    queue_length: Gauge,
}

impl Metrics {
    /// Registers the instruments, and Triton's section of the metrics page.
    pub fn new() -> Self {
        observed::register();
        add_metrics_section(triton_page::write);
        Self {
            requests: counter("ailayer.serving.requests", "{request}", "Calls by model, method and outcome."),
            queue_time: histogram("ailayer.serving.queue.time", "s", "Time a call waited for its model."),
            inference_time: histogram(
                "ailayer.serving.inference.time",
                "s",
                "Time a call spent in its model.",
            ),
            input_tokens: counter("ailayer.serving.input_tokens", "{token}", "Tokens that were embedded."),
            queue_length: gauge("ailayer.serving.queue.length", "{request}", "Calls that wait for a model."),
        }
    }

    /// A call ended. `model` is a loaded model's name: names from clients have no bound.
    pub fn request(&self, model: &str, method: &'static str, outcome: &str) {
        self.requests.add(1, &[("model", model), ("method", method), ("outcome", outcome)]);
    }

    /// A model ran for a call.
    pub fn run(&self, model: &str, queue_time: Duration, inference_time: Duration) {
        self.queue_time.record(queue_time.as_secs_f64(), &[("model", model)]);
        self.inference_time.record(inference_time.as_secs_f64(), &[("model", model)]);
    }

    /// Tokens were embedded.
    pub fn tokens(&self, model: &str, count: u64) {
        self.input_tokens.add(count, &[("model", model)]);
    }

    /// Calls wait for a model.
    pub fn queue_length(&self, model: &str, length: usize) {
        self.queue_length.set(i64::try_from(length).unwrap_or(i64::MAX), &[("model", model)]);
    }
}
