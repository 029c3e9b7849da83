//! A loaded model version: its worker threads, and what may be asked of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::domain::manifest::EmbeddingManifest;
use crate::domain::model::{ModelInfo, TextLimits};
use crate::domain::settings::ModelSettings;
use crate::domain::signature::Signature;
use crate::domain::statistics::{BatchExecuted, Outcome, RequestFinished};
use crate::domain::tensor::NamedTensor;
use crate::domain::text::EncodedText;
use crate::error::ServeError;
use crate::ports::{EncoderError, SessionError};
use crate::telemetry::ModelMetrics;
use crate::worker::{Done, Worker, WorkerError};

mod embed;
mod infer;
mod run_texts;
mod tokenize;

/// The batches of one call, run one after the other, and the outputs wanted of each.
pub struct Run {
    /// The inputs of each batch.
    pub batches: Vec<Vec<NamedTensor>>,
    /// The outputs wanted, in order.
    pub outputs: Vec<String>,
}

/// The outputs of each batch.
pub type RunOutputs = Result<Vec<Vec<NamedTensor>>, SessionError>;
/// The worker that owns the engine's session.
pub type EngineWorker = Worker<Run, RunOutputs>;
/// The worker that owns the tokenizers.
pub type TextWorker = Worker<Vec<String>, Result<Vec<EncodedText>, EncoderError>>;

/// A model version that can serve.
#[derive(Debug)]
pub struct Model {
    info: ModelInfo,
    signature: Signature,
    settings: ModelSettings,
    metrics: Arc<ModelMetrics>,
    engine: EngineWorker,
    text: Option<TextPart>,
}

/// What a model that takes texts has besides.
#[derive(Debug)]
pub struct TextPart {
    /// Its limits.
    pub limits: TextLimits,
    /// Which tensors mean what.
    pub manifest: EmbeddingManifest,
    /// Token ids lie below it.
    pub vocabulary_size: usize,
    /// The most texts in a batch; 1 if padding would change results.
    pub max_batch_rows: usize,
    /// The tokenizers.
    pub worker: TextWorker,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Time in the engine's queue.
    pub queue_time: Duration,
    /// Time in the engine.
    pub inference_time: Duration,
}

impl Model {
    /// Puts the parts together.
    pub fn new(
        info: ModelInfo,
        signature: Signature,
        settings: ModelSettings,
        engine: EngineWorker,
        text: Option<TextPart>,
    ) -> Self {
        let metrics = Arc::new(ModelMetrics::new(&info.id));
        Self { info, signature, settings, metrics, engine, text }
    }

    /// What a client may know.
    pub const fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// What the graph takes and gives.
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }

    /// How it is run.
    pub const fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// What it did so far.
    pub const fn metrics(&self) -> &Arc<ModelMetrics> {
        &self.metrics
    }

    /// The calls that wait for the engine.
    pub fn queue_len(&self) -> usize {
        self.engine.queue_len()
    }

    /// Refuses new calls, cancels what runs and joins the threads. Blocks; idempotent.
    pub fn stop(&self) {
        if let Some(text) = &self.text {
            text.worker.stop();
        }
        self.engine.stop();
    }

    fn text(&self) -> Result<&TextPart, ServeError> {
        self.text.as_ref().ok_or_else(|| ServeError::NotATextModel { name: self.info.id.name.clone() })
    }

    async fn run(&self, run: Run) -> Result<(Vec<Vec<NamedTensor>>, Timing), ServeError> {
        let arrival = Instant::now();
        let tensors = run.batches.iter().flatten();
        let bytes = tensors.fold(0_usize, |sum, input| sum.saturating_add(input.tensor.byte_len()));
        let rows = run.batches.iter().map(|batch| rows_of(batch)).sum();
        self.metrics.request_queued();
        let done = self.engine.call(run, bytes).await;
        self.metrics.queue_length(self.engine.queue_len());
        let (queue, infer) = done.as_ref().map_or((Duration::ZERO, Duration::ZERO), |done| {
            let batch =
                BatchExecuted { requests: 1, rows, compute_infer: done.run_time, ..Default::default() };
            self.metrics.batch_executed(&batch);
            (done.queue_time, done.run_time)
        });
        self.metrics.request_finished(&RequestFinished {
            outcome: outcome(&done),
            total: arrival.elapsed(),
            queue,
            compute_input: Duration::ZERO,
            compute_infer: infer,
            compute_output: Duration::ZERO,
            rows,
        });
        let timing = Timing { queue_time: queue, inference_time: infer };
        Ok((done?.output?, timing))
    }
}

/// The first dimension of the first input.
fn rows_of(batch: &[NamedTensor]) -> usize {
    let first = batch.first().and_then(|input| input.tensor.shape().first());
    first.map_or(1, |rows| usize::try_from(*rows).unwrap_or(usize::MAX))
}

const fn outcome(done: &Result<Done<RunOutputs>, WorkerError>) -> Outcome {
    match done {
        Ok(Done { output: Ok(_), .. }) => Outcome::Success,
        Ok(Done { output: Err(SessionError::Cancelled), .. }) => Outcome::Canceled,
        Err(WorkerError::Overloaded { .. }) => Outcome::Rejected,
        Ok(Done { output: Err(SessionError::Failed(_)), .. }) | Err(WorkerError::Panicked) => {
            Outcome::Backend
        }
        Ok(Done { output: Err(_), .. }) | Err(WorkerError::Stopping) => Outcome::Other,
    }
}
