//! Why a call or the service fails, and what the caller is told.

use ailayer_platform::config::ConfigError;
use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_platform::server::ServerError;
use ailayer_platform::tasks::TasksError;

use crate::domain::embedding::EmbeddingError;
use crate::domain::input_error::{InputError, shown};
use crate::domain::tensor::TensorError;
use crate::ports::{EncoderError, EngineError, SessionError};
use crate::repository::{CacheError, RepositoryError};
use crate::worker::WorkerError;

/// The most characters of an error and its causes. They go into the headers of an answer, and a model's file or the engine
/// reading it may say as much as it likes.
const MAX_LINE_CHARS: usize = 1_000;
const STOPPING: &str = "the model is being unloaded, or the service is stopping";

/// The service could not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot serve.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The engine cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The model repository cannot be read.
    #[error("the model repository cannot be listed")]
    Repository(#[from] RepositoryError),
    /// The folder for copies of models cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Without `trial_executable` this program tries models out, and it does not know where it is.
    #[error("the program that tries models out is not known: set model-serving.trial_executable")]
    TrialProgram(#[source] std::io::Error),
    /// A port cannot be had.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A task failed or did not stop in time.
    #[error(transparent)]
    Tasks(#[from] TasksError),
    /// The system gave no thread.
    #[error("the system gave no thread")]
    Thread(#[source] std::io::Error),
    /// A blocking step of start or stop panicked.
    #[error("a step of start or stop panicked")]
    Panicked,
}

/// A call that is not answered.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// There is no such model version.
    #[error("there is no model '{}' with version '{}'", shown(.name), shown(.version))]
    ModelNotFound {
        /// What was asked for.
        name: String,
        /// What was asked for; empty for the newest.
        version: String,
    },
    /// The model version is being loaded, or does not load.
    #[error("the model '{}' with version '{}' is not loaded", shown(.name), shown(.version))]
    ModelNotReady {
        /// What was asked for.
        name: String,
        /// What was asked for; empty for the newest.
        version: String,
    },
    /// The model takes tensors only.
    #[error("the model '{name}' takes tensors, not texts")]
    NotATextModel {
        /// The model.
        name: String,
    },
    /// The input is refused.
    #[error(transparent)]
    Input(#[from] InputError),
    /// No worker took the call.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The model did not answer.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The tokenizer failed.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The model answered, but with no embeddings.
    #[error("the model's answer is no embedding")]
    Embedding(#[from] EmbeddingError),
    /// A fault of ours.
    #[error("a batch could not be made")]
    Batch(#[from] TensorError),
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let message = error.to_string();
        match error {
            ServeError::ModelNotFound { .. } => Self::new(ErrorReason::ModelNotFound, message),
            ServeError::ModelNotReady { .. } => Self::new(ErrorReason::ModelNotReady, message),
            ServeError::NotATextModel { .. } => Self::invalid_field("model_name", message),
            ServeError::Input(input) => Self::from(input),
            ServeError::Worker(worker) => Self::from(worker),
            ServeError::Session(SessionError::Refused(cause)) => {
                Self::invalid_field("inputs", message).with_source(cause)
            }
            ServeError::Session(SessionError::OutputTooLarge { .. }) => {
                Self::new(ErrorReason::MessageTooLarge, message)
            }
            // A run is only cancelled when its caller has left, or when it took longer than the grace period of a model that is
            // unloaded or a service that stops.
            ServeError::Session(SessionError::Cancelled) | ServeError::Encoder(EncoderError::Cancelled) => {
                Self::new(ErrorReason::ShuttingDown, STOPPING)
            }
            ServeError::Session(SessionError::Failed(cause))
            | ServeError::Encoder(EncoderError::Failed(cause)) => {
                Self::new(ErrorReason::ModelFailed, message).with_source(cause)
            }
            ServeError::Embedding(cause) => Self::new(ErrorReason::ModelFailed, message).with_source(cause),
            ServeError::Batch(cause) => Self::internal(cause),
        }
    }
}

impl From<InputError> for Failure {
    fn from(error: InputError) -> Self {
        let message = error.to_string();
        let (reason, field) = match error {
            InputError::UnknownTensor { field, .. }
            | InputError::DuplicateTensor { field, .. }
            | InputError::Value { field, .. } => (ErrorReason::InvalidField, field),
            InputError::MissingInput { .. } => (ErrorReason::InvalidField, "inputs".to_owned()),
            InputError::ParameterNotOffered { field, .. } => (ErrorReason::NotOffered, field),
            InputError::Datatype { field, .. } => (ErrorReason::DatatypeMismatch, field),
            InputError::Shape { field, .. } | InputError::BadShape { field, .. } => {
                (ErrorReason::ShapeMismatch, field)
            }
            InputError::Contents { field, .. } => (ErrorReason::ContentMismatch, field),
            InputError::Empty { field } => (ErrorReason::InputEmpty, field),
            InputError::TooLarge { field, .. } => (ErrorReason::InputTooLarge, field),
        };
        Self::field(reason, &field, message)
    }
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Overloaded { retry_after } => {
                Self::new(ErrorReason::Overloaded, "too many calls wait for this model")
                    .with_retry_after(retry_after)
            }
            WorkerError::Stopping => Self::new(ErrorReason::ShuttingDown, STOPPING),
            WorkerError::Late => Self::new(ErrorReason::DeadlineExceeded, "the deadline passed"),
            WorkerError::Panicked | WorkerError::Broken => {
                Self::new(ErrorReason::ModelFailed, "the model failed").with_source(error)
            }
        }
    }
}

/// An error with all its causes in one line, for logs and health reasons.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let line = causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"));
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    match line.chars().nth(MAX_LINE_CHARS) {
        None => line.chars().map(plain).collect(),
        Some(_) => line.chars().take(MAX_LINE_CHARS).map(plain).chain(['…']).collect(),
    }
}
