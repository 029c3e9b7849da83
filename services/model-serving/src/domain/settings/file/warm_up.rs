//! `[[warm_up]]`.

use serde::Deserialize;

use super::super::{WarmUpData, WarmUpInput, WarmUpSample, WarmUpSource};
use crate::domain::manifest::{ManifestError, file_name, key_error};

/// One sample.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WarmUpFile {
    name: Option<String>,
    #[serde(default = "one")]
    rows: usize,
    #[serde(default = "one_time")]
    count: u32,
    text: Option<String>,
    inputs: Option<Vec<InputFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputFile {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    data: Option<Noise>,
    file: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Noise {
    Zero,
    Random,
}

const fn one() -> usize {
    1
}

const fn one_time() -> u32 {
    1
}

/// The samples, in the file's order.
pub(super) fn samples(files: Vec<WarmUpFile>) -> Result<Vec<WarmUpSample>, ManifestError> {
    files.into_iter().enumerate().map(|(index, file)| sample(index, file)).collect()
}

fn sample(index: usize, file: WarmUpFile) -> Result<WarmUpSample, ManifestError> {
    let key = format!("warm_up[{index}]");
    let data = match (file.text, file.inputs) {
        (Some(text), None) => WarmUpData::Text(text),
        (None, Some(inputs)) => WarmUpData::Tensors(
            inputs
                .into_iter()
                .enumerate()
                .map(|(at, input)| self::input(&key, at, input))
                .collect::<Result<_, _>>()?,
        ),
        _ => return Err(key_error(&key, "say either text or inputs")),
    };
    Ok(WarmUpSample { name: file.name.unwrap_or(key), rows: file.rows, count: file.count, data })
}

fn input(sample: &str, index: usize, file: InputFile) -> Result<WarmUpInput, ManifestError> {
    let key = format!("{sample}.inputs[{index}]");
    let source = match (file.data, file.file) {
        (Some(Noise::Zero), None) => WarmUpSource::Zero,
        (Some(Noise::Random), None) => WarmUpSource::Random,
        (None, Some(name)) => WarmUpSource::File(file_name(&format!("{key}.file"), name)?),
        _ => return Err(key_error(&key, "say either data or file")),
    };
    let datatype = file.datatype.parse().map_err(|_| {
        key_error(&format!("{key}.datatype"), format!("'{}' is not a served data type", file.datatype))
    })?;
    Ok(WarmUpInput { name: file.name, datatype, shape: file.shape, source })
}
