//! A loaded model version: its worker threads, and what may be asked of it.

use std::sync::Arc;
use std::time::Duration;

use crate::cancel::CancelToken;
use crate::domain::batch::{Padding, has_rows};
use crate::domain::call::CallContext;
use crate::domain::input_error::InputError;
use crate::domain::manifest::EmbeddingManifest;
use crate::domain::model::{ModelInfo, TextLimits};
use crate::domain::scheduler::{Limits, ServiceTimes};
use crate::domain::settings::ModelSettings;
use crate::domain::signature::Signature;
use crate::domain::text::EncodedText;
use crate::error::ServeError;
use crate::memory::Reservation;
use crate::ports::{EncoderError, InferenceSession};
use crate::scheduler::Instances;
use crate::telemetry::ModelMetrics;
use crate::worker::Worker;

use backend::Backend;

pub use tokenize::TokenizeCall;

mod backend;
mod embed;
mod infer;
mod run_texts;
mod tokenize;
mod warm_up;

/// The threads that own the engine's sessions.
type Engine = Instances<Backend>;
/// The worker that owns the tokenizers.
pub type TextWorker = Worker<TokenizeCall, Result<Vec<EncodedText>, EncoderError>>;

/// A model version that can serve.
#[derive(Debug)]
pub struct Model {
    info: ModelInfo,
    signature: Signature,
    settings: ModelSettings,
    metrics: Arc<ModelMetrics>,
    engine: Engine,
    text: Option<TextPart>,
    padding: Option<Arc<Padding>>,
    rows: Rows,
    /// Given back when everything above is gone.
    memory: Option<Reservation>,
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
    /// The most tokens in a batch, padding included: what a graph gives for them must fit an answer of the engine.
    pub max_batch_tokens: usize,
    /// The tokenizers.
    pub worker: TextWorker,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timing {
    /// Time in the engine's queue.
    pub queue_time: Duration,
    /// Time in the engine.
    pub inference_time: Duration,
}

/// What a model is made of.
pub struct Parts {
    /// What a client may know.
    pub info: ModelInfo,
    /// What the graph takes and gives.
    pub signature: Signature,
    /// How it is run.
    pub settings: ModelSettings,
    /// One an instance; at least one.
    pub sessions: Vec<Box<dyn InferenceSession>>,
    /// For a model that takes texts.
    pub text: Option<TextPart>,
    /// How rows of unequal length share a run, if they do.
    pub padding: Option<Padding>,
    /// Its part of the memory budget.
    pub memory: Option<Reservation>,
    /// Run the largest batch of texts once.
    pub largest_batch: bool,
}

impl Model {
    /// Measures how long runs take and starts the threads. Blocks; ends soon after the token is cancelled.
    pub fn start(parts: Parts, cancel: &CancelToken) -> std::io::Result<Self> {
        let Parts { info, signature, settings, sessions, text, padding, memory, largest_batch } = parts;
        let manifest = text.as_ref().map(|part| &part.manifest);
        let padding = padding.map(Arc::new);
        let mut backends: Vec<Backend> = sessions
            .into_iter()
            .map(|session| Backend::new(session, manifest.cloned(), padding.clone()))
            .collect();
        let rows = Rows::of(&settings, &signature, text.as_ref());
        let most_tokens = text.as_ref().map_or(usize::MAX, |part| part.max_batch_tokens);
        let max_tokens = settings.batching.max_tokens.min(most_tokens);
        let times = match (backends.first_mut(), &text) {
            (Some(backend), Some(text)) => {
                if largest_batch {
                    let rows_of_longest = max_tokens / text.limits.max_input_tokens.max(1);
                    let rows = rows.text.min(rows_of_longest).max(1);
                    warm_up::run_batch(backend, rows, text.limits.max_input_tokens, cancel);
                }
                warm_up::measure_texts(backend, rows.text, text.limits.max_input_tokens, cancel)
            }
            _ => ServiceTimes::default(),
        };
        let limits = Limits {
            max_entries: settings.queue.max_entries,
            max_bytes: settings.queue.max_bytes,
            max_age: settings.queue.max_age,
            max_rows: rows.text.max(rows.tensor),
            max_tokens,
            max_delay: settings.batching.max_delay,
        };
        let metrics = Arc::new(ModelMetrics::new(&info.id, memory.as_ref().map_or(0, Reservation::bytes)));
        let engine = Engine::start(limits, times, Arc::clone(&metrics), backends)?;
        Ok(Self { info, signature, settings, metrics, engine, text, padding, rows, memory })
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

    /// What all its instances were found to take; 0 if that is not known.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.as_ref().map_or(0, Reservation::bytes)
    }

    /// True if it fails again and again and takes no more calls.
    pub fn is_broken(&self) -> bool {
        self.engine.is_broken()
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

    /// The level a call is served at.
    fn priority(&self, context: &CallContext) -> Result<u32, InputError> {
        let queue = &self.settings.queue;
        queue.priority(context.priority).ok_or_else(|| InputError::Value {
            field: "parameters.priority".to_owned(),
            detail: format!(
                "{} is not one of the levels 1 to {}",
                context.priority,
                queue.priority_levels.max(1)
            ),
        })
    }
}

/// The most rows that share a run.
#[derive(Debug, Clone, Copy)]
struct Rows {
    text: usize,
    tensor: usize,
}

impl Rows {
    fn of(settings: &ModelSettings, signature: &Signature, text: Option<&TextPart>) -> Self {
        // `deterministic` promises equal bits, and rows that leak into each other never share a run.
        let allowed = text.map_or(usize::MAX, |part| part.max_batch_rows);
        match settings.batching.is_on() && !settings.deterministic {
            false => Self { text: 1, tensor: 1 },
            true => {
                let most = settings.batching.max_rows.min(allowed).max(1);
                Self { text: most, tensor: if has_rows(signature) { most } else { 1 } }
            }
        }
    }
}
