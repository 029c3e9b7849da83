//! From a version's folder to a model that can serve.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ailayer_primitives::Digest;
use bytes::Bytes;

use crate::adapters::huggingface_tokenizers::HuggingFaceTokenizer;
use crate::adapters::onnx_file;
use crate::cancel::CancelToken;
use crate::config::Config;
use crate::domain::batch::Padding;
use crate::domain::manifest::{EmbeddingManifest, Manifest, ManifestError};
use crate::domain::model::{ModelId, ModelInfo, TextLimits};
use crate::domain::queue::QueueLimits;
use crate::domain::settings::ModelSettings;
use crate::memory::{BudgetError, Reservation};
use crate::model::{Model, Parts, TextPart, TextWorker, TokenizeCall};
use crate::ports::{EncoderError, EngineError, InferenceEngine, InferenceSession, SessionError, TextEncoder};
use crate::repository::{self, ModelFiles, RepositoryError, VersionFolder};
use crate::trial::TrialError;
use crate::worker::Worker;

mod batch_trial;
mod noise;
mod self_test;
mod warm_up;

pub use self_test::SelfTestError;
pub use warm_up::WarmUpError;

/// A version that cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file is missing or wrong.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The model file is no ONNX file.
    #[error("model.onnx is not an ONNX file")]
    NotOnnx(#[from] prost::DecodeError),
    /// Weights outside the model file, which its digest would not cover.
    #[error("model.onnx keeps tensor '{0}' in another file; save it as one file")]
    ExternalData(String),
    /// The engine cannot use the model.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The tokenizer file cannot be used.
    #[error("cannot use the tokenizer {file}")]
    Tokenizer {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: EncoderError,
    },
    /// The graph is not as the settings say.
    #[error("the model's settings do not fit its graph")]
    Settings(#[from] ManifestError),
    /// The graph is not as `model.toml` says.
    #[error("model.toml and model.onnx do not fit together")]
    SelfTest(#[from] SelfTestError),
    /// A sample of its files does not run.
    #[error(transparent)]
    WarmUp(#[from] WarmUpError),
    /// The system gave no thread.
    #[error("the system gave no thread")]
    Thread(#[from] std::io::Error),
    /// The load was cancelled while rows were tried out together.
    #[error("rows could not be tried out together")]
    BatchTrial(#[source] SessionError),
    /// It takes longer than a load may.
    #[error("loading took longer than trial_wall_time, {} s", .0.as_secs_f32())]
    TooLong(Duration),
    /// It does not load in a process of its own.
    #[error(transparent)]
    Trial(#[from] TrialError),
    /// It takes more memory than is left for models.
    #[error(transparent)]
    Memory(#[from] BudgetError),
}

impl LoadError {
    /// True if the model would load where there is more memory.
    pub const fn is_memory_budget(&self) -> bool {
        matches!(self, Self::Memory(_))
    }
}

/// How many sessions a model gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// As many as its files say.
    AsConfigured,
    /// One, whose largest batch is run once: to find out what it takes.
    One,
}

/// Loads models, one after the other.
pub struct Loader {
    engine: Arc<dyn InferenceEngine>,
    config: Config,
    instances: Instances,
}

impl Loader {
    /// A loader with the limits of a configuration.
    pub const fn new(engine: Arc<dyn InferenceEngine>, config: Config, instances: Instances) -> Self {
        Self { engine, config, instances }
    }

    /// The configuration it loads by.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Reads, hashes, loads and tries out the copy of one version, whose graph must have the digest. Blocks.
    ///
    /// The model keeps its part of the memory budget as long as it lives.
    pub fn load_copy(
        &self,
        folder: &VersionFolder,
        digest: Digest,
        memory: Option<Reservation>,
        cancel: &CancelToken,
    ) -> Result<Model, LoadError> {
        let files = repository::read(folder, &self.config.service_limits())?;
        if files.digest != digest {
            return Err(
                RepositoryError::Changed { path: folder.path.join(&files.settings.model_file) }.into()
            );
        }
        self.load_files(&folder.id, files, memory, cancel)
    }

    fn load_files(
        &self,
        id: &ModelId,
        files: ModelFiles,
        memory: Option<Reservation>,
        cancel: &CancelToken,
    ) -> Result<Model, LoadError> {
        if let Some(tensor) = onnx_file::external_tensor(&files.model)? {
            return Err(LoadError::ExternalData(tensor));
        }
        let mut settings = files.settings;
        let mut session = self.engine.load(&files.model, settings.intra_threads, cancel)?;
        settings.check_signature(session.signature())?;
        let mut batching = Batching::default();
        let (text, encoder) = match settings.manifest.clone() {
            Manifest::Tensor => {
                batching = try_batches(session.as_mut(), &mut settings, &files.warm_up, cancel)?;
                (None, None)
            }
            Manifest::Embedding(manifest) => {
                let tokenizer = files.tokenizer.unwrap_or_default();
                let (part, encoder) =
                    self.text_part(manifest, &settings, &tokenizer, session.as_mut(), cancel)?;
                if part.max_batch_rows < settings.batching.max_rows {
                    batching.refused = Some("a padded row is another than alone".to_owned());
                }
                (Some(part), Some(encoder))
            }
        };
        let info = ModelInfo {
            id: id.clone(),
            digest: files.digest,
            execution_provider: session.execution_provider(),
            properties: session.properties(),
            text: text.as_ref().map(|part| part.limits),
            batching_refused: batching.refused,
        };
        let signature = settings.served_signature(session.signature());
        let mut sessions = vec![session];
        let instances = match self.instances {
            Instances::AsConfigured => settings.instances,
            Instances::One => 1,
        };
        for _ in 1..instances {
            sessions.push(self.engine.load(&files.model, settings.intra_threads, cancel)?);
        }
        let text_side = encoder.as_ref().zip(text.as_ref());
        let text_side = text_side.map(|(encoder, part)| (encoder as &dyn TextEncoder, &part.manifest));
        warm_up::run(&mut sessions, &settings, text_side, &files.warm_up, cancel)?;
        let largest_batch = self.instances == Instances::One;
        let padding = batching.padding;
        let parts = Parts { info, signature, settings, sessions, text, padding, memory, largest_batch };
        Ok(Model::start(parts, cancel)?)
    }

    fn text_part(
        &self,
        manifest: EmbeddingManifest,
        settings: &ModelSettings,
        tokenizer: &[u8],
        session: &mut dyn InferenceSession,
        cancel: &CancelToken,
    ) -> Result<(TextPart, HuggingFaceTokenizer), LoadError> {
        let encoder = HuggingFaceTokenizer::from_bytes(tokenizer, manifest.max_input_tokens)
            .map_err(|source| LoadError::Tokenizer { file: manifest.tokenizer.clone(), source })?;
        let padding_is_exact = self_test::run(session, &encoder, &manifest, cancel)?;
        if !padding_is_exact {
            tracing::warn!(
                "a padded batch answers otherwise than its rows alone, batching is off for this model"
            );
        }
        let limits = TextLimits {
            max_input_tokens: manifest.max_input_tokens,
            dimensions: manifest.dimensions,
            max_items: self.config.max_items,
            max_text_bytes: self.config.max_text_bytes,
        };
        let part = TextPart {
            limits,
            vocabulary_size: encoder.vocabulary_size(),
            max_batch_rows: if padding_is_exact { settings.batching.max_rows } else { 1 },
            max_batch_tokens: self_test::most_tokens(&manifest, self.config.max_inference_message_bytes)?,
            worker: text_worker(&encoder, self.config.tokenizer_threads, self.queue_limits())?,
            manifest,
        };
        Ok((part, encoder))
    }

    const fn queue_limits(&self) -> QueueLimits {
        QueueLimits { max_entries: self.config.queue_capacity, max_bytes: self.config.queue_bytes }
    }
}

/// What became of a wish to batch.
#[derive(Debug, Default)]
struct Batching {
    /// Why it is off, or rows of unequal length are not padded.
    refused: Option<String>,
    padding: Option<Padding>,
}

/// Tries out a tensor model that shall batch; switches off what does not hold.
fn try_batches(
    session: &mut dyn InferenceSession,
    settings: &mut ModelSettings,
    samples: &BTreeMap<String, Bytes>,
    cancel: &CancelToken,
) -> Result<Batching, LoadError> {
    if !settings.batching.is_on() || settings.deterministic {
        return Ok(Batching::default());
    }
    let found = batch_trial::run(session, settings, samples, cancel).map_err(LoadError::BatchTrial)?;
    if let Some(reason) = &found.refused {
        tracing::warn!(%reason, "rows of this model must not share a run, batching is off for it");
        settings.batching.max_rows = 1;
    }
    if let Some(reason) = &found.padding_refused {
        tracing::warn!(%reason, "rows of unequal length must not share a run, they are not padded");
    }
    if found.padding.is_none() {
        settings.batching.padded_inputs.clear();
    }
    let refused = found
        .refused
        .or_else(|| found.padding_refused.map(|reason| format!("rows of unequal length: {reason}")));
    Ok(Batching { refused, padding: found.padding })
}

/// Each thread has its own copy: a tokenizer's caches are behind a lock that threads would share.
fn text_worker(
    encoder: &HuggingFaceTokenizer,
    threads: usize,
    limits: QueueLimits,
) -> std::io::Result<TextWorker> {
    let handlers = (0..threads).map(|_| {
        let mut encoder = encoder.clone();
        move |call: TokenizeCall, cancel: &CancelToken| {
            encoder.truncate_at(call.truncation);
            let one_text = |text: &String| match cancel.is_cancelled() {
                true => Err(EncoderError::Cancelled),
                false if call.with_offsets => encoder.encode_with_offsets(text),
                false => encoder.encode(text),
            };
            call.texts.iter().map(one_text).collect()
        }
    });
    Worker::spawn("tokenizer", limits, handlers.collect())
}
