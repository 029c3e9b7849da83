//! How one model is run: everything its files may say, typed, with defaults and reasons.

mod batching;
mod check;
mod duration;
mod file;
mod queue;
mod read;
mod signature;
mod triton;
mod versions;
mod warm_up;

pub use batching::{Batching, DEFAULT_MAX_BATCH_TOKENS, PadFill, PadSide, PaddedInput};
pub use duration::parse_duration;
pub use queue::QueueSettings;
pub use read::{MAX_TEXT_BYTES, ModelTexts, read, read_versions};
pub use versions::VersionPolicy;
pub use warm_up::{WarmUpData, WarmUpInput, WarmUpSample, WarmUpSource};

use std::collections::BTreeMap;

use serde::Deserialize;

use super::manifest::Manifest;
use super::signature::TensorSpec;

/// One session a model: on a CPU a second one helps only where a single call leaves cores idle, and weights
/// multiply with instances.
pub const DEFAULT_INSTANCES: usize = 1;
/// The most instances a file may ask for.
pub const MAX_INSTANCES: usize = 64;
/// The most threads a file may ask for, an instance.
pub const MAX_INTRA_THREADS: usize = 256;
/// The file that holds the graph.
pub const DEFAULT_MODEL_FILE: &str = "model.onnx";

/// What the service's own configuration gives to models whose files do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceLimits {
    /// The most entries that wait for a model.
    pub queue_entries: usize,
    /// The most bytes of tensors that wait for a model.
    pub queue_bytes: usize,
    /// The most texts that run as one batch; only text models batch without being told to, since the first dimension
    /// of a plain tensor need not be a batch.
    pub max_batch_rows: usize,
}

/// How one model version is run. Within all limits, however it was made.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSettings {
    /// The sessions that run side by side, each on its own thread; from 1.
    pub instances: usize,
    /// The threads that share one operator's work; none takes the service's `intra_threads`.
    pub intra_threads: Option<usize>,
    /// What runs together.
    pub batching: Batching,
    /// What may wait.
    pub queue: QueueSettings,
    /// What runs before the version is ready; empty leaves the choice to the service.
    pub warm_up: Vec<WarmUpSample>,
    /// What a price counts.
    pub pricing_unit: PricingUnit,
    /// Refuses floating-point inputs that hold a NaN or an infinity. Off: tensor clients may mean them.
    pub refuse_non_finite: bool,
    /// Promises equal bits for equal requests on the same build: batch 1, no padding, one thread. Off: costs speed.
    pub deterministic: bool,
    /// How a new version takes over.
    pub swap: Swap,
    /// Which versions are served; a property of the model's folder.
    pub versions: VersionPolicy,
    /// The graph's file in the version's folder.
    pub model_file: String,
    /// The inputs that `config.pbtxt` declares, whole shapes; empty if it does not say.
    pub declared_inputs: Vec<TensorSpec>,
    /// The outputs that `config.pbtxt` declares, whole shapes; empty if it does not say.
    pub declared_outputs: Vec<TensorSpec>,
    /// The `parameters` of `config.pbtxt`; shown, and without effect but for `intra_op_thread_count`.
    pub parameters: BTreeMap<String, String>,
    /// How the tensors relate to texts.
    pub manifest: Manifest,
}

/// What a price counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PricingUnit {
    /// Each call.
    Call,
    /// Each input token, special tokens included; text models only.
    InputToken,
    /// Each byte of input tensors.
    TensorByte,
}

impl PricingUnit {
    /// The word in `model.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::InputToken => "input_token",
            Self::TensorByte => "tensor_byte",
        }
    }
}

/// How a new version takes over from the one it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Swap {
    /// The old one serves until the new one is warm; needs memory for both.
    Overlap,
    /// The old one goes first; calls between are refused as not ready.
    UnloadFirst,
}

impl ModelSettings {
    /// A tensor model whose files say nothing.
    pub fn defaults(limits: &ServiceLimits) -> Self {
        Self::for_manifest(Manifest::Tensor, limits)
    }

    /// A model of which only the manifest is known.
    pub fn for_manifest(manifest: Manifest, limits: &ServiceLimits) -> Self {
        let (max_rows, pricing_unit, max_tokens) = match &manifest {
            Manifest::Tensor => (1, PricingUnit::Call, DEFAULT_MAX_BATCH_TOKENS),
            Manifest::Embedding(text) => {
                let max_tokens =
                    DEFAULT_MAX_BATCH_TOKENS.max(text.max_input_tokens).max(limits.max_batch_rows);
                (limits.max_batch_rows, PricingUnit::InputToken, max_tokens)
            }
        };
        Self {
            instances: DEFAULT_INSTANCES,
            intra_threads: None,
            batching: Batching { max_rows, max_tokens, ..Batching::off() },
            queue: QueueSettings::new(limits.queue_entries, limits.queue_bytes),
            warm_up: Vec::new(),
            pricing_unit,
            refuse_non_finite: false,
            deterministic: false,
            swap: Swap::Overlap,
            versions: VersionPolicy::default(),
            model_file: DEFAULT_MODEL_FILE.to_owned(),
            declared_inputs: Vec::new(),
            declared_outputs: Vec::new(),
            parameters: BTreeMap::new(),
            manifest,
        }
    }
}
