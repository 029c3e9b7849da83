//! What serving needs from an inference engine and from a tokenizer.

use std::collections::BTreeMap;
use std::error::Error;

use ailayer_platform::error::Failure;
use futures::future::BoxFuture;

use crate::cancel::CancelToken;
use crate::domain::control::{IndexEntry, LoadOverrides};
use crate::domain::signature::Signature;
use crate::domain::tensor::NamedTensor;
use crate::domain::text::EncodedText;

/// Loads models. One a process.
pub trait InferenceEngine: Send + Sync {
    /// Makes a session of the bytes of a model file. Blocks for as long as loading takes; ends early
    /// with an error soon after the token is cancelled. Without `intra_threads` the engine's own number of threads
    /// shares one operator's work.
    fn load(
        &self,
        model: &[u8],
        intra_threads: Option<usize>,
        cancel: &CancelToken,
    ) -> Result<Box<dyn InferenceSession>, EngineError>;
}

/// A loaded model; used by one thread at a time.
pub trait InferenceSession: Send {
    /// What the graph takes and gives.
    fn signature(&self) -> &Signature;

    /// What the model file says about itself, under names that begin with `onnx.`; of bounded size.
    fn properties(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The execution provider that runs the graph, e.g. `CPUExecutionProvider`.
    fn execution_provider(&self) -> &'static str;

    /// The most bytes of outputs that one call may be answered.
    fn max_output_bytes(&self) -> usize {
        usize::MAX
    }

    /// Runs the graph once, for so many calls together. Blocks. The inputs must fit the signature.
    ///
    /// The outputs may have as many bytes as all the calls may be answered; that one call's part is not too large is left to
    /// who takes them apart. Answers the named outputs in that order. Ends early with [`SessionError::Cancelled`] soon after the token is cancelled.
    fn run(
        &mut self,
        inputs: &[NamedTensor],
        outputs: &[String],
        calls: usize,
        cancel: &CancelToken,
    ) -> Result<Vec<NamedTensor>, SessionError>;
}

/// Turns texts into token ids; used by one thread at a time.
pub trait TextEncoder: Send {
    /// Encodes one text, special tokens included, cut to the length the encoder was made for.
    fn encode(&self, text: &str) -> Result<EncodedText, EncoderError>;
}

/// The folder of models while the service runs.
pub trait RepositoryControl: Send + Sync {
    /// What there is, in the order of names and versions; only what serves, if `ready_only`.
    fn index(&self, ready_only: bool) -> Vec<IndexEntry>;

    /// Loads a model, or loads it anew; done once it serves. The old version serves until then, and if it fails.
    fn load(&self, name: String, overrides: LoadOverrides) -> BoxFuture<'_, Result<(), Failure>>;

    /// Unloads every version of a model; running calls are finished.
    fn unload(&self, name: String) -> BoxFuture<'_, Result<(), Failure>>;
}

/// The engine or a model file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine's library is missing or too old, or another one is already loaded.
    #[error("ONNX Runtime: {0}")]
    Runtime(String),
    /// The engine refused the model file.
    #[error("the engine refused the model: {0}")]
    Model(String),
    /// The graph wants something that is not served.
    #[error("{0}")]
    Unsupported(String),
}

/// A run that gave no outputs.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The graph found a value of its inputs invalid, e.g. an index out of range.
    #[error("the model refused the input")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The graph failed.
    #[error("the model failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// The outputs are larger than an answer may be.
    #[error("the outputs have {bytes} bytes, an answer may have {limit}")]
    OutputTooLarge {
        /// The size of the outputs.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Nobody waits for the answer any more.
    #[error("cancelled")]
    Cancelled,
}

/// A text that was not encoded, or a tokenizer that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The tokenizer failed.
    #[error("the tokenizer failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
    /// Nobody waits for the answer any more.
    #[error("cancelled")]
    Cancelled,
}
