//! The keys of `model.toml` that say how a model is run; those that tie tensors to texts are the manifest's.

use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

mod warm_up;

use super::{ModelSettings, PadFill, PadSide, PaddedInput, PricingUnit, Swap, VersionPolicy, parse_duration};
use crate::domain::manifest::{ManifestError, deserialize_table, file_name, key_error};
use warm_up::WarmUpFile;

/// The keys of [`SettingsFile`].
const KEYS: [&str; 11] = [
    "instances",
    "intra_threads",
    "batching",
    "queue",
    "warm_up",
    "pricing_unit",
    "refuse_non_finite",
    "deterministic",
    "swap",
    "versions",
    "model_file",
];

/// What a `model.toml` says about running; every key may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsFile {
    instances: Option<usize>,
    intra_threads: Option<usize>,
    batching: Option<BatchingFile>,
    queue: Option<QueueFile>,
    warm_up: Option<Vec<WarmUpFile>>,
    pricing_unit: Option<PricingUnit>,
    refuse_non_finite: Option<bool>,
    deterministic: Option<bool>,
    swap: Option<Swap>,
    versions: Option<Value>,
    model_file: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct BatchingFile {
    max_rows: Option<usize>,
    max_request_rows: Option<usize>,
    max_tokens: Option<usize>,
    max_delay: Option<String>,
    literal_shapes: Option<bool>,
    padded_inputs: Option<Vec<PaddedInputFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PaddedInputFile {
    name: String,
    #[serde(default)]
    side: PadSide,
    value: Option<f64>,
    fill: Option<Fill>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Fill {
    Mask,
    Position,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueFile {
    max_entries: Option<usize>,
    max_bytes: Option<usize>,
    max_age: Option<String>,
    priority_levels: Option<u32>,
    default_priority: Option<u32>,
}

impl SettingsFile {
    /// Takes its own keys out of a `model.toml`; the rest is given back.
    pub fn split(mut table: Table) -> Result<(Self, Table), ManifestError> {
        let mut own = Table::new();
        for key in KEYS {
            if let Some(value) = table.remove(key) {
                own.insert(key.to_owned(), value);
            }
        }
        Ok((deserialize_table(own)?, table))
    }

    /// What the file says about versions.
    pub fn versions(&self) -> Result<Option<VersionPolicy>, ManifestError> {
        const SHAPE: &str = "must be \"all\", {latest = N} or a list of versions";
        let parsed = match &self.versions {
            None => return Ok(None),
            Some(Value::String(word)) if word == "all" => Ok(VersionPolicy::All),
            Some(Value::Array(numbers)) => {
                let numbers: Option<Vec<i64>> = numbers.iter().map(Value::as_integer).collect();
                numbers.ok_or(SHAPE).and_then(|numbers| VersionPolicy::listed(&numbers))
            }
            Some(Value::Table(table)) => match (table.len(), table.get("latest").and_then(Value::as_integer))
            {
                (1, Some(count)) => {
                    let count = usize::try_from(count).ok().filter(|count| *count >= 1);
                    count.map(VersionPolicy::Latest).ok_or("latest must be from 1")
                }
                _ => Err(SHAPE),
            },
            Some(_) => Err(SHAPE),
        };
        parsed.map(Some).map_err(|message| key_error("versions", message))
    }

    /// Lays what the file says over `settings`.
    pub fn apply(self, settings: &mut ModelSettings) -> Result<(), ManifestError> {
        if let Some(versions) = self.versions()? {
            settings.versions = versions;
        }
        let literal_shapes = self.batching.as_ref().and_then(|batching| batching.literal_shapes);
        settings.batching.literal_shapes = literal_shapes.unwrap_or(settings.batching.literal_shapes);
        settings.deterministic = self.deterministic.unwrap_or(settings.deterministic);
        // These switch batching off wherever the file does not say more, so that they can be used as one line.
        if settings.deterministic || literal_shapes == Some(true) {
            settings.batching.max_rows = 1;
            settings.batching.padded_inputs = Vec::new();
        }
        if settings.deterministic {
            settings.intra_threads = Some(1);
        }
        settings.instances = self.instances.unwrap_or(settings.instances);
        settings.intra_threads = self.intra_threads.or(settings.intra_threads);
        settings.pricing_unit = self.pricing_unit.unwrap_or(settings.pricing_unit);
        settings.refuse_non_finite = self.refuse_non_finite.unwrap_or(settings.refuse_non_finite);
        settings.swap = self.swap.unwrap_or(settings.swap);
        if let Some(file) = self.model_file {
            settings.model_file = file_name("model_file", file)?;
        }
        self.batching.map_or(Ok(()), |batching| batching.apply(settings))?;
        self.queue.map_or(Ok(()), |queue| queue.apply(settings))?;
        if let Some(samples) = self.warm_up {
            settings.warm_up = warm_up::samples(samples)?;
        }
        Ok(())
    }
}

impl BatchingFile {
    fn apply(self, settings: &mut ModelSettings) -> Result<(), ManifestError> {
        let batching = &mut settings.batching;
        batching.max_rows = self.max_rows.unwrap_or(batching.max_rows);
        batching.max_request_rows = self.max_request_rows.or(batching.max_request_rows);
        match self.max_tokens {
            Some(tokens) => batching.max_tokens = tokens,
            // A row has a token at least; who raises the rows alone means more rows.
            None => batching.max_tokens = batching.max_tokens.max(batching.max_rows),
        }
        if let Some(delay) = duration("batching.max_delay", self.max_delay)? {
            batching.max_delay = delay;
        }
        if let Some(inputs) = self.padded_inputs {
            batching.padded_inputs =
                inputs.into_iter().enumerate().map(padded_input).collect::<Result<_, _>>()?;
        }
        Ok(())
    }
}

fn padded_input((index, file): (usize, PaddedInputFile)) -> Result<PaddedInput, ManifestError> {
    let fill = match (file.fill, file.value) {
        (Some(Fill::Mask), None) => PadFill::Mask,
        (Some(Fill::Position), None) => PadFill::Position,
        (None, Some(value)) => PadFill::Value(value),
        _ => {
            let key = format!("batching.padded_inputs[{index}].value");
            return Err(key_error(&key, "say either value or fill"));
        }
    };
    Ok(PaddedInput { name: file.name, side: file.side, fill })
}

impl QueueFile {
    fn apply(self, settings: &mut ModelSettings) -> Result<(), ManifestError> {
        let queue = &mut settings.queue;
        queue.max_entries = self.max_entries.unwrap_or(queue.max_entries);
        queue.max_bytes = self.max_bytes.unwrap_or(queue.max_bytes);
        queue.max_age = duration("queue.max_age", self.max_age)?.or(queue.max_age);
        if let Some(levels) = self.priority_levels {
            queue.priority_levels = levels;
            if levels > 1 && self.default_priority.is_none() {
                return Err(key_error("queue.default_priority", "is required with priority_levels"));
            }
            queue.default_priority = 1;
        }
        queue.default_priority = self.default_priority.unwrap_or(queue.default_priority);
        Ok(())
    }
}

fn duration(key: &str, text: Option<String>) -> Result<Option<Duration>, ManifestError> {
    text.map(|text| parse_duration(&text).map_err(|message| key_error(key, message))).transpose()
}
