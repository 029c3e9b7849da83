//! Distributions by model name. The names are those of loaded models, so their number is bounded.

use std::sync::OnceLock;

use ailayer_platform::telemetry::{Histogram, histogram};

use crate::domain::statistics::{BatchExecuted, RequestFinished};

/// The histograms of every model in the process.
#[derive(Debug)]
pub struct Distributions {
    request_time: Histogram,
    queue_time: Histogram,
    inference_time: Histogram,
    batch_rows: Histogram,
}

/// Registered at the first use, which is after telemetry has started.
pub fn distributions() -> &'static Distributions {
    static ONCE: OnceLock<Distributions> = OnceLock::new();
    ONCE.get_or_init(|| Distributions {
        request_time: histogram("ailayer.serving.request.time", "s", "From arrival to answer."),
        queue_time: histogram("ailayer.serving.queue.time", "s", "Time a call waited for its model."),
        inference_time: histogram("ailayer.serving.inference.time", "s", "Time of one run of the engine."),
        batch_rows: histogram("ailayer.serving.batch.rows", "{row}", "Rows of one run of the engine."),
    })
}

impl Distributions {
    /// A request succeeded.
    pub fn request(&self, model: &str, request: &RequestFinished) {
        self.request_time.record(request.total.as_secs_f64(), &[("model", model)]);
        self.queue_time.record(request.queue.as_secs_f64(), &[("model", model)]);
    }

    /// The engine ran.
    pub fn batch(&self, model: &str, batch: &BatchExecuted) {
        self.inference_time.record(batch.compute_infer.as_secs_f64(), &[("model", model)]);
        // A row count has no more than a few digits: nothing is lost.
        let rows = u32::try_from(batch.rows).unwrap_or(u32::MAX);
        self.batch_rows.record(f64::from(rows), &[("model", model)]);
    }
}
