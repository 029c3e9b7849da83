//! Triton's `config.pbtxt`, and the same message as JSON: the common subset.
//!
//! A field that is not understood is refused by its name, with the reason: a configuration that is half obeyed is worse
//! than one that is refused. Field names and meanings are those of Triton's `model_config.proto`.

mod fields;
mod json_form;
mod scheduling;
mod tensors;
mod text_format;
mod tree;
mod warm_up;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::{ModelSettings, VersionPolicy, WarmUpSample};
use crate::domain::manifest::{ManifestError, file_name, key_error};
use crate::domain::signature::TensorSpec;
use fields::{Fields, refuse_fields};
use tree::Message;

/// What a `config.pbtxt` says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TritonConfig {
    /// Empty if not said.
    pub name: String,
    /// 0: shapes are literal; else the batch is a dimension that the file leaves out.
    pub max_batch_size: usize,
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
    pub instances: Option<usize>,
    pub dynamic_batching: Option<DynamicBatching>,
    pub versions: Option<VersionPolicy>,
    pub warm_up: Vec<WarmUpSample>,
    pub parameters: BTreeMap<String, String>,
    pub intra_threads: Option<NonZeroUsize>,
    pub model_file: Option<String>,
}

/// What `dynamic_batching` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DynamicBatching {
    pub max_delay: Duration,
    pub priority_levels: u32,
    pub default_priority: u32,
    pub max_entries: Option<usize>,
    pub max_age: Option<Duration>,
}

/// Fields that are read below; the rest of `ModelConfig` is refused.
const UNDERSTOOD: &[&str] = &[
    "name",
    "platform",
    "backend",
    "runtime",
    "version_policy",
    "max_batch_size",
    "input",
    "output",
    "optimization",
    "dynamic_batching",
    "instance_group",
    "default_model_filename",
    "parameters",
    "model_warmup",
    "model_transaction_policy",
    "response_cache",
];

const REFUSED: &[(&str, &str)] = &[
    ("batch_input", "inputs made from a batch are not offered"),
    ("batch_output", "outputs made from a batch are not offered"),
    ("sequence_batching", "models that keep state between requests are not offered"),
    ("ensemble_scheduling", "ensembles are not offered"),
    ("cc_model_filenames", "there is one file for every processor"),
    ("metric_tags", "tags on metrics are not offered"),
    ("model_metrics", "metrics are not configured per model"),
    ("model_operations", "custom operator libraries are never loaded"),
    ("model_repository_agents", "repository agents are never loaded"),
];

impl TritonConfig {
    /// Reads the text of a `config.pbtxt`.
    pub fn parse_text(text: &str) -> Result<Self, ManifestError> {
        Self::read(&text_format::parse(text)?)
    }

    /// Reads `ModelConfig` in protobuf's JSON form, as `RepositoryModelLoad` carries it.
    pub fn parse_json(text: &str) -> Result<Self, ManifestError> {
        Self::read(&json_form::parse(text)?)
    }

    fn read(message: &Message) -> Result<Self, ManifestError> {
        let fields = Fields::new("", message);
        fields.check(UNDERSTOOD, REFUSED)?;
        check_platform(&fields)?;
        let max_batch_size = fields.number("max_batch_size", 0, super::batching::MAX_ROWS)?.unwrap_or(0);
        let parameters = parameters(&fields)?;
        Ok(Self {
            name: fields.text("name")?.unwrap_or_default(),
            max_batch_size,
            inputs: tensors::inputs(&fields, max_batch_size > 0)?,
            outputs: tensors::outputs(&fields, max_batch_size > 0)?,
            instances: scheduling::instances(&fields)?,
            dynamic_batching: scheduling::dynamic_batching(&fields, max_batch_size)?,
            versions: scheduling::version_policy(&fields)?,
            warm_up: warm_up::samples(&fields, max_batch_size)?,
            intra_threads: intra_threads(&parameters)?,
            parameters,
            model_file: model_file(&fields)?,
        })
    }

    /// Lays what the file says over `settings`.
    pub fn apply(self, settings: &mut ModelSettings) {
        settings.batching.literal_shapes = self.max_batch_size == 0;
        settings.batching.max_request_rows = (self.max_batch_size > 0).then_some(self.max_batch_size);
        // Without `dynamic_batching` Triton never puts two requests together, whatever the batch size.
        settings.batching.max_rows = 1;
        if let Some(dynamic) = self.dynamic_batching {
            settings.batching.max_rows = self.max_batch_size.max(1);
            settings.batching.max_delay = dynamic.max_delay;
            settings.queue.priority_levels = dynamic.priority_levels;
            settings.queue.default_priority = dynamic.default_priority;
            settings.queue.max_age = dynamic.max_age;
            settings.queue.max_entries = dynamic.max_entries.unwrap_or(settings.queue.max_entries);
        }
        settings.batching.max_tokens = settings.batching.max_tokens.max(settings.batching.max_rows);
        settings.instances = self.instances.unwrap_or(settings.instances);
        settings.intra_threads = self.intra_threads.map(NonZeroUsize::get).or(settings.intra_threads);
        settings.versions = self.versions.unwrap_or_else(|| settings.versions.clone());
        settings.warm_up = self.warm_up;
        settings.parameters = self.parameters;
        settings.declared_inputs = self.inputs;
        settings.declared_outputs = self.outputs;
        if let Some(file) = self.model_file {
            settings.model_file = file;
        }
    }
}

fn check_platform(fields: &Fields<'_>) -> Result<(), ManifestError> {
    let expected = [("platform", "onnxruntime_onnx"), ("backend", "onnxruntime"), ("runtime", "")];
    for (name, only) in expected {
        match fields.text(name)? {
            Some(value) if !value.is_empty() && value != only => {
                let message = match only {
                    "" => "another engine is never loaded".to_owned(),
                    only => format!("only \"{only}\" is offered"),
                };
                return Err(fields.error(name, message));
            }
            _ => {}
        }
    }
    let optional = [
        ("response_cache", "enable", "replies are not cached here"),
        ("model_transaction_policy", "decoupled", "a request has exactly one reply"),
    ];
    for (name, flag, reason) in optional {
        if let Some(inner) = fields.message(name)? {
            inner.check(&[flag], &[])?;
            if inner.flag(flag)? {
                return Err(inner.error(flag, reason));
            }
        }
    }
    match fields.message("optimization")? {
        // Pinned memory only matters to a copy to a graphics card.
        Some(inner) => refuse_fields(
            &inner,
            &["input_pinned_memory", "output_pinned_memory"],
            "the engine's optimisation is not configured per model",
        ),
        None => Ok(()),
    }
}

fn parameters(fields: &Fields<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let mut parameters = BTreeMap::new();
    for (key, value) in fields.map("parameters")? {
        value.check(&["string_value"], &[])?;
        parameters.insert(key, value.text("string_value")?.unwrap_or_default());
    }
    Ok(parameters)
}

/// The one parameter of Triton's ONNX Runtime backend that has a meaning here; 0 leaves it to the service.
fn intra_threads(parameters: &BTreeMap<String, String>) -> Result<Option<NonZeroUsize>, ManifestError> {
    const NAME: &str = "intra_op_thread_count";
    let Some(text) = parameters.get(NAME) else { return Ok(None) };
    match text.parse::<usize>() {
        Ok(threads) if threads <= super::MAX_INTRA_THREADS => Ok(NonZeroUsize::new(threads)),
        _ => Err(key_error(
            &format!("parameters.{NAME}"),
            format!("must be a number in 0..={}", super::MAX_INTRA_THREADS),
        )),
    }
}

fn model_file(fields: &Fields<'_>) -> Result<Option<String>, ManifestError> {
    let file = fields.text("default_model_filename")?.filter(|name| !name.is_empty());
    file.map(|name| file_name("default_model_filename", name)).transpose()
}

#[cfg(test)]
mod tests;
