//! `ModelInferRequest` to checked tensors.

use std::collections::HashMap;

use ailayer_proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use ailayer_proto::inference::{InferParameter, ModelInferRequest};
use bytes::Bytes;

use super::contents;
use crate::domain::input_error::InputError;
use crate::domain::shape;
use crate::domain::signature::{Signature, TensorSpec};
use crate::domain::tensor::{NamedTensor, Tensor, TensorData};

/// A call whose every part fits the graph.
#[derive(Debug)]
pub(in crate::rpc) struct InferCall {
    /// The client's id, to be given back.
    pub id: String,
    /// The inputs, in the order sent.
    pub inputs: Vec<NamedTensor>,
    /// The outputs wanted, in the order to answer.
    pub outputs: Vec<String>,
    /// True if the contents came raw.
    pub raw: bool,
}

/// Checks and decodes a request; nothing wrong gets past this into a queue.
pub(in crate::rpc) fn decode_infer(
    request: ModelInferRequest,
    signature: &Signature,
) -> Result<InferCall, InputError> {
    refuse_parameters("parameters", &request.parameters, reserved)?;
    let outputs = decode_outputs(&request.outputs, signature)?;
    let names: Vec<&str> = request.inputs.iter().map(|input| input.name.as_str()).collect();
    signature.check_input_names(&names)?;
    let raw = !request.raw_input_contents.is_empty();
    if raw && request.raw_input_contents.len() != request.inputs.len() {
        let (sent, inputs) = (request.raw_input_contents.len(), request.inputs.len());
        return Err(contents_error("raw_input_contents", format!("{sent} entries for {inputs} inputs")));
    }
    let mut raw_contents = request.raw_input_contents.into_iter();
    let inputs = request.inputs.into_iter().enumerate();
    let inputs = inputs.map(|(index, input)| decode_input(index, input, raw_contents.next(), signature));
    Ok(InferCall { id: request.id, inputs: inputs.collect::<Result<_, _>>()?, outputs, raw })
}

fn decode_outputs(
    outputs: &[InferRequestedOutputTensor],
    signature: &Signature,
) -> Result<Vec<String>, InputError> {
    for (index, output) in outputs.iter().enumerate() {
        let field = format!("outputs[{index}].parameters");
        refuse_parameters(&field, &output.parameters, |name| name == "classification" || reserved(name))?;
    }
    let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    signature.select_outputs(&names)
}

fn decode_input(
    index: usize,
    input: InferInputTensor,
    raw: Option<Bytes>,
    signature: &Signature,
) -> Result<NamedTensor, InputError> {
    let field = format!("inputs[{index}].parameters");
    refuse_parameters(&field, &input.parameters, reserved)?;
    let spec = signature.input(&input.name).ok_or_else(|| InputError::UnknownTensor {
        field: format!("inputs[{index}].name"),
        name: input.name.clone(),
    })?;
    spec.check(index, &input.datatype, &input.shape)?;
    let typed = input.contents.unwrap_or_default();
    let (field, data) = match raw {
        Some(_) if contents::has_values(&typed) => {
            let detail = "typed contents beside raw contents".to_owned();
            return Err(contents_error(&format!("inputs[{index}].contents"), detail));
        }
        Some(bytes) => {
            let field = format!("raw_input_contents[{index}]");
            let data = decode_raw(spec, &input.shape, bytes);
            (field, data)
        }
        None => {
            let field = format!("inputs[{index}].contents");
            let data = shape::element_count(&input.shape)
                .map_err(|error| error.to_string())
                .and_then(|count| contents::from_contents(spec.datatype, count, typed));
            (field, data)
        }
    };
    let tensor = data.and_then(|data| Tensor::try_new(input.shape, data).map_err(|error| error.to_string()));
    tensor
        .map(|tensor| NamedTensor { name: input.name, tensor })
        .map_err(|detail| contents_error(&field, detail))
}

fn decode_raw(spec: &TensorSpec, shape: &[i64], bytes: Bytes) -> Result<TensorData, String> {
    let count = shape::element_count(shape).map_err(|error| error.to_string())?;
    TensorData::from_raw(spec.datatype, count, bytes).map_err(|error| error.to_string())
}

fn contents_error(field: &str, detail: String) -> InputError {
    InputError::Contents { field: field.to_owned(), detail }
}

/// Names that Triton keeps for itself. Those that have a meaning here are taken out before: `priority` and
/// `timeout` are not of this form, and a stream reads its own.
fn reserved(name: &str) -> bool {
    name.starts_with("triton_") || name.starts_with("shared_memory_")
}

/// Unknown parameters are ignored, as the protocol has it; these would change the answer if they were known.
fn refuse_parameters(
    field: &str,
    parameters: &HashMap<String, InferParameter>,
    refused: impl Fn(&str) -> bool,
) -> Result<(), InputError> {
    match parameters.keys().find(|name| refused(name)) {
        None => Ok(()),
        Some(name) => Err(InputError::ParameterNotOffered { field: field.to_owned(), name: name.clone() }),
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
