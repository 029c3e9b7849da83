//! What is measured.

use ailayer_platform::telemetry::{Counter, add_metrics_section, counter};

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
    input_tokens: Counter,
}

impl Metrics {
    /// Registers the instruments, and Triton's section of the metrics page.
    pub fn new() -> Self {
        observed::register();
        add_metrics_section(triton_page::write);
        Self {
            requests: counter("ailayer.serving.requests", "{request}", "Calls by model, method and outcome."),
            input_tokens: counter("ailayer.serving.input_tokens", "{token}", "Tokens that were embedded."),
        }
    }

    /// A call ended. `model` is a loaded model's name: names from clients have no bound.
    pub fn request(&self, model: &str, method: &'static str, outcome: &str) {
        self.requests.add(1, &[("model", model), ("method", method), ("outcome", outcome)]);
    }

    /// Tokens were embedded.
    pub fn tokens(&self, model: &str, count: u64) {
        self.input_tokens.add(count, &[("model", model)]);
    }
}
