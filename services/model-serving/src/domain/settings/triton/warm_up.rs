//! `model_warmup`.

use super::super::warm_up::{MAX_COUNT, WarmUpData, WarmUpInput, WarmUpSample, WarmUpSource};
use super::fields::Fields;
use super::tensors::{datatype, dims};
use crate::domain::manifest::{ManifestError, file_name};

/// The samples that run before the version is ready.
pub(super) fn samples(
    fields: &Fields<'_>,
    max_batch_size: usize,
) -> Result<Vec<WarmUpSample>, ManifestError> {
    fields
        .messages("model_warmup")?
        .iter()
        .enumerate()
        .map(|(index, sample)| {
            sample.check(&["name", "batch_size", "inputs", "count"], &[])?;
            // Literal shapes have no batch, and Triton then wants 0 here.
            let rows = sample.number("batch_size", 0, max_batch_size)?.unwrap_or(0).max(1);
            let inputs = sample.map("inputs")?;
            Ok(WarmUpSample {
                name: sample
                    .text("name")?
                    .filter(|name| !name.is_empty())
                    .unwrap_or_else(|| format!("model_warmup[{index}]")),
                rows,
                // 0 counts as not said.
                count: sample.small_number("count", 0, MAX_COUNT)?.unwrap_or(0).max(1),
                data: WarmUpData::Tensors(
                    inputs.into_iter().map(|(name, value)| input(name, &value)).collect::<Result<_, _>>()?,
                ),
            })
        })
        .collect()
}

fn input(name: String, value: &Fields<'_>) -> Result<WarmUpInput, ManifestError> {
    value.check(&["data_type", "dims", "zero_data", "random_data", "input_data_file"], &[])?;
    let source = match (value.flag("zero_data")?, value.flag("random_data")?, value.text("input_data_file")?)
    {
        (true, false, None) => WarmUpSource::Zero,
        (false, true, None) => WarmUpSource::Random,
        (false, false, Some(file)) => WarmUpSource::File(file_name("model_warmup.input_data_file", file)?),
        _ => {
            return Err(
                value.error("zero_data", "say exactly one of zero_data, random_data and input_data_file")
            );
        }
    };
    Ok(WarmUpInput { name, datatype: datatype(value)?, shape: dims(value, 1)?, source })
}
