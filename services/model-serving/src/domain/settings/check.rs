//! What must hold between the keys of a model's files, whichever file said them.

use std::time::Duration;

use super::batching::{MAX_DELAY, MAX_ROWS, MAX_TOKENS};
use super::queue::{MAX_AGE, MAX_ENTRIES, MAX_PRIORITY_LEVELS};
use super::warm_up::{MAX_COUNT, MAX_SAMPLES};
use super::{MAX_INSTANCES, MAX_INTRA_THREADS, ModelSettings, PricingUnit, WarmUpData, WarmUpSample};
use crate::domain::manifest::{Manifest, ManifestError, key_error};
use crate::domain::shape;

/// The most bytes of one warm-up tensor.
const MAX_WARM_UP_BYTES: usize = 256 * 1024 * 1024;

impl ModelSettings {
    /// Refuses settings that cannot be or that contradict each other; the error names the key.
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        within("instances", self.instances, MAX_INSTANCES)?;
        within("intra_threads", self.intra_threads.unwrap_or(1), MAX_INTRA_THREADS)?;
        self.check_batching()?;
        self.check_queue()?;
        self.check_promises()?;
        self.check_warm_up()
    }

    fn check_batching(&self) -> Result<(), ManifestError> {
        let batching = &self.batching;
        within("batching.max_rows", batching.max_rows, MAX_ROWS)?;
        within("batching.max_request_rows", batching.max_request_rows.unwrap_or(1), MAX_ROWS)?;
        within("batching.max_tokens", batching.max_tokens, MAX_TOKENS)?;
        at_most("batching.max_delay", batching.max_delay, MAX_DELAY)?;
        if batching.literal_shapes && batching.max_rows > 1 {
            return Err(key_error("batching.max_rows", "must be 1 where shapes are literal"));
        }
        if batching.max_tokens < batching.max_rows {
            return Err(key_error(
                "batching.max_tokens",
                "is less than max_rows, and a row has a token at least",
            ));
        }
        if let Manifest::Embedding(text) = &self.manifest
            && batching.max_tokens < text.max_input_tokens
        {
            return Err(key_error(
                "batching.max_tokens",
                "is less than max_input_tokens: the longest text never runs",
            ));
        }
        self.check_padding()
    }

    fn check_padding(&self) -> Result<(), ManifestError> {
        let padded = &self.batching.padded_inputs;
        if padded.is_empty() {
            return Ok(());
        }
        let error = |message| Err(key_error("batching.padded_inputs", message));
        if matches!(self.manifest, Manifest::Embedding(_)) {
            return error("a text model pads by its own keys: remove it");
        }
        if self.batching.max_rows == 1 {
            return error("has no meaning while max_rows is 1");
        }
        for (index, input) in padded.iter().enumerate() {
            if padded.iter().take(index).any(|earlier| earlier.name == input.name) {
                let message = format!("'{}' is listed twice", input.name);
                return Err(key_error(&format!("batching.padded_inputs[{index}].name"), message));
            }
        }
        Ok(())
    }

    fn check_queue(&self) -> Result<(), ManifestError> {
        let queue = &self.queue;
        within("queue.max_entries", queue.max_entries, MAX_ENTRIES)?;
        within("queue.max_bytes", queue.max_bytes, usize::MAX)?;
        if let Some(age) = queue.max_age {
            if age.is_zero() {
                return Err(key_error("queue.max_age", "must be more than 0; leave it out for no limit"));
            }
            at_most("queue.max_age", age, MAX_AGE)?;
        }
        if queue.priority_levels > MAX_PRIORITY_LEVELS {
            return Err(key_error("queue.priority_levels", format!("must lie in 0..={MAX_PRIORITY_LEVELS}")));
        }
        if !(1..=queue.priority_levels.max(1)).contains(&queue.default_priority) {
            return Err(key_error("queue.default_priority", "must lie in 1..=priority_levels"));
        }
        Ok(())
    }

    fn check_promises(&self) -> Result<(), ManifestError> {
        if self.pricing_unit == PricingUnit::InputToken && self.manifest == Manifest::Tensor {
            return Err(key_error("pricing_unit", "a tensor model has no tokens to count"));
        }
        if !self.deterministic {
            return Ok(());
        }
        if self.batching.max_rows > 1 {
            return Err(key_error("batching.max_rows", "must be 1 for a deterministic model"));
        }
        if self.intra_threads != Some(1) {
            return Err(key_error("intra_threads", "must be 1 for a deterministic model"));
        }
        Ok(())
    }

    fn check_warm_up(&self) -> Result<(), ManifestError> {
        if self.warm_up.len() > MAX_SAMPLES {
            return Err(key_error("warm_up", format!("must be at most {MAX_SAMPLES} samples")));
        }
        for (index, sample) in self.warm_up.iter().enumerate() {
            if self.warm_up.iter().take(index).any(|earlier| earlier.name == sample.name) {
                let message = format!("'{}' names two samples", sample.name);
                return Err(key_error(&format!("warm_up[{index}].name"), message));
            }
            self.check_sample(&format!("warm_up[{index}]"), sample)?;
        }
        Ok(())
    }

    fn check_sample(&self, key: &str, sample: &WarmUpSample) -> Result<(), ManifestError> {
        let most_rows = match self.batching.literal_shapes {
            true => 1,
            false => self.batching.max_request_rows.unwrap_or(MAX_ROWS).max(self.batching.max_rows),
        };
        within(&format!("{key}.rows"), sample.rows, most_rows)?;
        if !(1..=MAX_COUNT).contains(&sample.count) {
            return Err(key_error(&format!("{key}.count"), format!("must lie in 1..={MAX_COUNT}")));
        }
        let inputs = match &sample.data {
            WarmUpData::Text(_) if self.manifest == Manifest::Tensor => {
                return Err(key_error(&format!("{key}.text"), "a tensor model takes no text"));
            }
            WarmUpData::Text(_) => return Ok(()),
            WarmUpData::Tensors(inputs) => inputs,
        };
        for (at, input) in inputs.iter().enumerate() {
            let row_bytes = shape::byte_count(&input.shape, input.datatype).ok();
            let bytes = row_bytes.and_then(|bytes| bytes.checked_mul(sample.rows));
            if bytes.is_none_or(|bytes| bytes > MAX_WARM_UP_BYTES) {
                let message =
                    format!("must be sizes from 0, of at most {MAX_WARM_UP_BYTES} bytes over all rows");
                return Err(key_error(&format!("{key}.inputs[{at}].shape"), message));
            }
        }
        Ok(())
    }
}

fn within(key: &str, value: usize, most: usize) -> Result<(), ManifestError> {
    match value {
        0 => Err(key_error(key, "must be from 1")),
        value if value > most => Err(key_error(key, format!("must lie in 1..={most}"))),
        _ => Ok(()),
    }
}

fn at_most(key: &str, value: Duration, most: Duration) -> Result<(), ManifestError> {
    if value <= most { Ok(()) } else { Err(key_error(key, format!("must be at most {} s", most.as_secs()))) }
}
