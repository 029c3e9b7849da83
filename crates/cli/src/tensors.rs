//! Tensors in files: the JSON form of the Open Inference Protocol, with the exact bytes beside or in place of numbers.
//!
//! `{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2]}], "outputs": [{"name": "y"}]}`
//!
//! `data` is flat or nested, row-major. `contents`, ours, has the same in base64 and wins over it: numbers of 16 bits, and those that
//! are none, have no other form here.

use std::io::Read as _;
use std::path::Path;

use ailayer_receipt::tensor::{Inference, Tensor, Tensors};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};

/// The largest file that is read: a gateway's largest message in digits, and some.
const MAX_FILE_BYTES: u64 = 1 << 28;
/// Longer tensors are written as bytes alone: the seller decides how long they are.
const MAX_ELEMENTS: u64 = 1 << 16;

#[derive(Deserialize)]
struct RequestFile {
    inputs: Vec<TensorFile>,
    #[serde(default)]
    outputs: Vec<Name>,
}

#[derive(Deserialize)]
struct OutputFile {
    outputs: Vec<TensorFile>,
}

#[derive(Deserialize)]
struct Name {
    name: String,
}

#[derive(Deserialize)]
struct TensorFile {
    name: String,
    datatype: String,
    shape: Vec<u64>,
    data: Option<Value>,
    contents: Option<String>,
}

impl TensorFile {
    fn read(self) -> Result<Tensor, String> {
        let name = &self.name;
        let contents = match (self.contents, self.data) {
            (Some(base64), _) => {
                STANDARD.decode(base64).map_err(|error| format!("{name}: contents: {error}"))?
            }
            (None, Some(data)) => {
                let mut contents = Vec::new();
                encode(&self.datatype, &data, &mut contents).map_err(|why| format!("{name}: {why}"))?;
                contents
            }
            (None, None) => return Err(format!("{name}: neither data nor contents")),
        };
        Ok(Tensor { name: self.name, datatype: self.datatype, shape: self.shape, contents })
    }
}

/// Reads what a model shall be asked.
pub fn read_request(path: &Path) -> Result<Inference, Failure> {
    read(path, |bytes| {
        let file: RequestFile = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let outputs = file.outputs.into_iter().map(|output| output.name).collect();
        Ok(Inference { inputs: tensors(file.inputs)?, outputs })
    })
}

/// Reads what a model has answered, as [`to_json`] writes it.
pub fn read_outputs(json: &[u8]) -> Result<Tensors, String> {
    let file: OutputFile = serde_json::from_slice(json).map_err(|error| error.to_string())?;
    tensors(file.outputs)
}

fn tensors(files: Vec<TensorFile>) -> Result<Tensors, String> {
    let tensors = files.into_iter().map(TensorFile::read).collect::<Result<_, _>>()?;
    Tensors::try_new(tensors).map_err(|error| error.to_string())
}

fn read<T>(path: &Path, parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<T, Failure> {
    let wrong = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Configuration, format_args!("{}: {why}", path.display()))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    file.take(MAX_FILE_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| wrong(&error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(wrong(&format_args!("more than {MAX_FILE_BYTES} bytes")));
    }
    parse(&bytes).map_err(|why| wrong(&why))
}

/// What a model has answered, with its exact bytes, and the numbers of tensors that people may read.
pub fn to_json(tensors: &Tensors) -> Value {
    let output = |tensor: &Tensor| {
        let mut output = json!({
            "name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape,
            "contents": STANDARD.encode(&tensor.contents),
        });
        let data = if elements(tensor) <= MAX_ELEMENTS { decode(tensor) } else { None };
        if let (Some(data), Some(fields)) = (data, output.as_object_mut()) {
            fields.insert("data".to_owned(), Value::Array(data));
        }
        output
    };
    json!({ "outputs": tensors.as_slice().iter().map(output).collect::<Vec<_>>() })
}

/// A line about each tensor.
pub fn preview(tensors: &Tensors) -> String {
    let line = |tensor: &Tensor| {
        let short = elements(tensor) <= MAX_ELEMENTS;
        let head = if short { decode(tensor).unwrap_or_default() } else { Vec::new() };
        let head: Vec<String> = head.iter().take(4).map(ToString::to_string).collect();
        let dots = match elements(tensor).checked_sub(4) {
            Some(1..) if head.is_empty() => "…",
            Some(1..) => ", …",
            _ => "",
        };
        format!("{} {} {:?}  [{}{dots}]", tensor.name, tensor.datatype, tensor.shape, head.join(", "))
    };
    tensors.as_slice().iter().map(line).collect::<Vec<_>>().join("\n")
}

fn elements(tensor: &Tensor) -> u64 {
    tensor.shape.iter().fold(1, |product: u64, side| product.saturating_mul(*side))
}

/// Appends the elements of a value, nested or not.
fn encode(datatype: &str, data: &Value, contents: &mut Vec<u8>) -> Result<(), String> {
    if let Value::Array(items) = data {
        return items.iter().try_for_each(|item| encode(datatype, item, contents));
    }
    let wrong = || format!("{data} is no {datatype}");
    let signed = || data.as_i64().ok_or_else(wrong);
    let unsigned = || data.as_u64().ok_or_else(wrong);
    let float = || data.as_f64().ok_or_else(wrong);
    match datatype {
        "BOOL" => contents.push(u8::from(data.as_bool().ok_or_else(wrong)?)),
        "INT8" => contents.extend(i8::try_from(signed()?).map_err(|_| wrong())?.to_le_bytes()),
        "INT16" => contents.extend(i16::try_from(signed()?).map_err(|_| wrong())?.to_le_bytes()),
        "INT32" => contents.extend(i32::try_from(signed()?).map_err(|_| wrong())?.to_le_bytes()),
        "INT64" => contents.extend(signed()?.to_le_bytes()),
        "UINT8" => contents.extend(u8::try_from(unsigned()?).map_err(|_| wrong())?.to_le_bytes()),
        "UINT16" => contents.extend(u16::try_from(unsigned()?).map_err(|_| wrong())?.to_le_bytes()),
        "UINT32" => contents.extend(u32::try_from(unsigned()?).map_err(|_| wrong())?.to_le_bytes()),
        "UINT64" => contents.extend(unsigned()?.to_le_bytes()),
        "FP32" => contents.extend(single(float()?).ok_or_else(wrong)?.to_le_bytes()),
        "FP64" => contents.extend(float()?.to_le_bytes()),
        "BYTES" => {
            let text = data.as_str().ok_or_else(wrong)?;
            contents.extend(u32::try_from(text.len()).map_err(|_| wrong())?.to_le_bytes());
            contents.extend(text.as_bytes());
        }
        _ => return Err(format!("{datatype} has no JSON form: give its bytes as contents, in base64")),
    }
    Ok(())
}

/// The nearest single, unless it is beyond all of them.
#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is what is wanted")]
fn single(number: f64) -> Option<f32> {
    Some(number as f32).filter(|single| single.is_finite())
}

/// The elements as JSON; none where a type has no JSON form.
fn decode(tensor: &Tensor) -> Option<Vec<Value>> {
    fn each<const N: usize>(contents: &[u8], read: impl Fn([u8; N]) -> Value) -> Option<Vec<Value>> {
        let (elements, rest) = contents.as_chunks::<N>();
        rest.is_empty().then(|| elements.iter().copied().map(read).collect())
    }
    let contents = &tensor.contents;
    match tensor.datatype.as_str() {
        "BOOL" => each(contents, |[byte]| json!(byte != 0)),
        "INT8" => each(contents, |bytes| json!(i8::from_le_bytes(bytes))),
        "INT16" => each(contents, |bytes| json!(i16::from_le_bytes(bytes))),
        "INT32" => each(contents, |bytes| json!(i32::from_le_bytes(bytes))),
        "INT64" => each(contents, |bytes| json!(i64::from_le_bytes(bytes))),
        "UINT8" => each(contents, |bytes| json!(u8::from_le_bytes(bytes))),
        "UINT16" => each(contents, |bytes| json!(u16::from_le_bytes(bytes))),
        "UINT32" => each(contents, |bytes| json!(u32::from_le_bytes(bytes))),
        "UINT64" => each(contents, |bytes| json!(u64::from_le_bytes(bytes))),
        "FP32" => each(contents, |bytes| json!(f32::from_le_bytes(bytes))),
        "FP64" => each(contents, |bytes| json!(f64::from_le_bytes(bytes))),
        "BYTES" => texts(contents),
        _ => None,
    }
}

fn texts(mut contents: &[u8]) -> Option<Vec<Value>> {
    let mut texts = Vec::new();
    while let Some((length, rest)) = contents.split_first_chunk::<4>() {
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        texts.push(json!(std::str::from_utf8(text).ok()?));
        contents = rest;
    }
    Some(texts)
}

#[cfg(test)]
mod tests;
