//! The table `[model-serving]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ailayer_platform::config::{ConfigError, PlatformConfig};
use serde::Deserialize;

use crate::rpc::MessageLimits;

use crate::domain::control::ModelControl;
use crate::domain::settings::ServiceLimits;

mod repository;

/// Names the shared library where the configuration does not.
const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// The configuration of one model-serving process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder that holds `<name>/<version>/model.onnx`.
    pub repository: PathBuf,
    /// Who decides what is loaded while the service runs. Nobody by default, as in Triton: whoever may load
    /// models by a call may run graphs of his own, and a folder that is polled is served as it is being edited.
    #[serde(default = "default_model_control")]
    pub model_control: ModelControl,
    /// How often the folder is looked at. A change is loaded when two looks in a row find the same.
    #[serde(default = "default_poll_interval", with = "ailayer_platform::config::duration")]
    pub poll_interval: Duration,
    /// With explicit control, the models that are loaded at start; `"*"` means all. Otherwise all are.
    #[serde(default)]
    pub load_at_start: Vec<String>,
    /// Where models are copied to before they are loaded; without it a folder among the system's temporary ones. It holds what is
    /// loaded and what is being loaded, and nothing that another process made is looked at.
    pub cache_dir: Option<PathBuf>,
    /// Whether a version is loaded in a child process first. On by default: a graph that crashes the engine, eats memory or
    /// never ends does it there. It makes loading take twice as long.
    #[serde(default = "default_trial")]
    pub trial: Switch,
    /// The program that tries models out; without it this program, which must then call
    /// [`trial::run`](crate::trial::run) for the argument [`trial::ARGUMENT`](crate::trial::ARGUMENT).
    pub trial_executable: Option<PathBuf>,
    /// The address space a trial may take beyond the engine's own; without it the memory budget, or three quarters of what is
    /// available at start if that is less. It is reserved space, of which a part is never touched: be generous.
    pub trial_memory_bytes: Option<u64>,
    /// The time on processors that a trial may take.
    #[serde(default = "default_trial_time", with = "ailayer_platform::config::duration")]
    pub trial_cpu_time: Duration,
    /// The time a trial may take.
    #[serde(default = "default_trial_time", with = "ailayer_platform::config::duration")]
    pub trial_wall_time: Duration,
    /// What all loaded models may take together, by what they took when they were tried out; what does not fit is refused. 0 for no
    /// limit; without it four fifths of the memory of the machine or the container.
    pub memory_budget_bytes: Option<u64>,
    /// ONNX Runtime's shared library; without it the environment variable `ORT_DYLIB_PATH` names it.
    pub onnxruntime_library: Option<PathBuf>,
    /// The threads that share one operator's work. More than the physical cores cost more than they give.
    #[serde(default = "default_intra_threads")]
    pub intra_threads: usize,
    /// The threads that tokenise, a model.
    #[serde(default = "default_tokenizer_threads")]
    pub tokenizer_threads: usize,
    /// The most calls that wait for a model; more are refused with OVERLOADED.
    #[serde(default = "default_queue_capacity")]
    pub queue_capacity: usize,
    /// The most bytes of tensors that wait for a model.
    #[serde(default = "default_queue_bytes")]
    pub queue_bytes: usize,
    /// The longest text in bytes, checked before it is tokenised.
    #[serde(default = "default_max_text_bytes")]
    pub max_text_bytes: usize,
    /// The most texts a call may carry.
    #[serde(default = "default_max_items")]
    pub max_items: usize,
    /// The most texts that run as one batch.
    #[serde(default = "default_max_batch_rows")]
    pub max_batch_rows: usize,
    /// The largest message of the Open Inference Protocol, and the most bytes of outputs it answers. Messages of
    /// `ailayer.serving.v1` have the platform's limit.
    #[serde(default = "default_max_inference_message_bytes")]
    pub max_inference_message_bytes: usize,
    /// The most bytes of requests that are being received or worked on, in the whole process.
    #[serde(default = "default_max_request_bytes_in_flight")]
    pub max_request_bytes_in_flight: usize,
    /// Server, admin port, telemetry, grace period.
    #[serde(default)]
    pub platform: PlatformConfig,
}

const fn default_model_control() -> ModelControl {
    ModelControl::None
}

/// Triton's.
const fn default_poll_interval() -> Duration {
    Duration::from_secs(15)
}

const fn default_trial() -> Switch {
    Switch::On
}

const fn default_trial_time() -> Duration {
    Duration::from_secs(300)
}

const fn default_intra_threads() -> usize {
    1
}

const fn default_tokenizer_threads() -> usize {
    1
}

const fn default_queue_capacity() -> usize {
    512
}

const fn default_queue_bytes() -> usize {
    256 * 1024 * 1024
}

const fn default_max_text_bytes() -> usize {
    64 * 1024
}

const fn default_max_items() -> usize {
    32
}

const fn default_max_batch_rows() -> usize {
    16
}

const fn default_max_inference_message_bytes() -> usize {
    64 * 1024 * 1024
}

const fn default_max_request_bytes_in_flight() -> usize {
    512 * 1024 * 1024
}

impl Config {
    /// The defaults, for a repository.
    pub fn new(repository: impl Into<PathBuf>) -> Self {
        Self {
            repository: repository.into(),
            model_control: default_model_control(),
            poll_interval: default_poll_interval(),
            load_at_start: Vec::new(),
            cache_dir: None,
            trial: default_trial(),
            trial_executable: None,
            trial_memory_bytes: None,
            trial_cpu_time: default_trial_time(),
            trial_wall_time: default_trial_time(),
            memory_budget_bytes: None,
            onnxruntime_library: None,
            intra_threads: default_intra_threads(),
            tokenizer_threads: default_tokenizer_threads(),
            queue_capacity: default_queue_capacity(),
            queue_bytes: default_queue_bytes(),
            max_text_bytes: default_max_text_bytes(),
            max_items: default_max_items(),
            max_batch_rows: default_max_batch_rows(),
            max_inference_message_bytes: default_max_inference_message_bytes(),
            max_request_bytes_in_flight: default_max_request_bytes_in_flight(),
            platform: PlatformConfig::default(),
        }
    }

    /// Refuses a configuration that could not serve, in one line.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.platform.validate(crate::NAME)?;
        if !self.repository.is_dir() {
            return Err(invalid("repository", format!("'{}' is not a folder", self.repository.display())));
        }
        let counts = [
            ("intra_threads", self.intra_threads, 256),
            ("tokenizer_threads", self.tokenizer_threads, 64),
            ("queue_capacity", self.queue_capacity, 1_000_000),
            ("queue_bytes", self.queue_bytes, usize::MAX),
            ("max_text_bytes", self.max_text_bytes, 16 * 1024 * 1024),
            ("max_items", self.max_items, 65_536),
            ("max_batch_rows", self.max_batch_rows, 4_096),
        ];
        for (key, value, most) in counts {
            if !(1..=most).contains(&value) {
                return Err(invalid(key, format!("{value} does not lie in 1..={most}")));
            }
        }
        self.validate_control()?;
        self.validate_message_limits()?;
        self.library().map(drop)
    }

    /// What models get whose files do not say.
    pub const fn service_limits(&self) -> ServiceLimits {
        ServiceLimits {
            queue_entries: self.queue_capacity,
            queue_bytes: self.queue_bytes,
            max_batch_rows: self.max_batch_rows,
        }
    }

    /// A message that fits its limit must also fit the process, packed and unpacked together.
    fn validate_message_limits(&self) -> Result<(), ConfigError> {
        let MessageLimits { inference_bytes, serving_bytes, in_flight_bytes, .. } = self.message_limits();
        if !(1024..=1 << 31).contains(&inference_bytes) {
            let reason = format!("{inference_bytes} does not lie in 1024..={}", 1_u32 << 31);
            return Err(invalid("max_inference_message_bytes", reason));
        }
        let least = inference_bytes.max(serving_bytes).saturating_mul(2);
        if in_flight_bytes < least {
            let reason = format!("{in_flight_bytes} is less than two of the largest messages, {least}");
            return Err(invalid("max_request_bytes_in_flight", reason));
        }
        Ok(())
    }

    /// What requests may weigh.
    pub(crate) const fn message_limits(&self) -> MessageLimits {
        MessageLimits {
            inference_bytes: self.max_inference_message_bytes,
            serving_bytes: self.platform.server.max_message_bytes,
            in_flight_bytes: self.max_request_bytes_in_flight,
            message_time: self.platform.server.request_timeout,
        }
    }

    /// Where ONNX Runtime's library is.
    pub(crate) fn library(&self) -> Result<PathBuf, ConfigError> {
        let library =
            self.onnxruntime_library.clone().or_else(|| std::env::var_os(LIBRARY_VARIABLE).map(Into::into));
        match library {
            Some(path) if path.is_file() => Ok(path),
            Some(path) => Err(invalid("onnxruntime_library", missing(&path))),
            None => Err(invalid(
                "onnxruntime_library",
                format!("not set, and neither is {LIBRARY_VARIABLE}; it names libonnxruntime.so"),
            )),
        }
    }
}

fn missing(path: &Path) -> String {
    format!("there is no file '{}'", path.display())
}

fn invalid(key: &str, reason: impl Into<String>) -> ConfigError {
    ConfigError::invalid(format!("{}.{key}", crate::NAME), reason)
}

#[cfg(test)]
mod tests;
