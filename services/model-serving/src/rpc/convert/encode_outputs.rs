//! The outputs of `ModelInferResponse`.

use ailayer_proto::inference::model_infer_response::InferOutputTensor;
use bytes::Bytes;

use super::contents::to_contents;
use crate::domain::tensor::NamedTensor;

/// Raw contents if the request was raw or an output can only go raw, typed contents otherwise; all alike.
pub(in crate::rpc) fn encode_outputs(
    outputs: Vec<NamedTensor>,
    raw: bool,
) -> (Vec<InferOutputTensor>, Vec<Bytes>) {
    let raw = raw || outputs.iter().any(|output| output.tensor.data().datatype().is_raw_only());
    let mut raw_contents = Vec::new();
    let tensors = outputs
        .into_iter()
        .map(|NamedTensor { name, tensor }| {
            let datatype = tensor.data().datatype().name().to_owned();
            let (shape, data) = tensor.into_parts();
            let contents = if raw {
                raw_contents.push(data.into_raw());
                None
            } else {
                Some(to_contents(data))
            };
            InferOutputTensor { name, datatype, shape, parameters: Default::default(), contents }
        })
        .collect();
    (tensors, raw_contents)
}
