//! Fuzz targets of the request decoder. What they hold: it never panics, and what it accepts comes out of the
//! encoder as the very bytes that were sent.

use ailayer_proto::inference::{InferTensorContents, ModelInferRequest};
use bolero::TypeGenerator;
use prost::Message as _;

use super::super::encode_outputs::encode_outputs;
use super::*;
use crate::domain::datatype::Datatype;

/// An input of each data type, of any length; and one with a shape to keep.
fn signature() -> Signature {
    let spec = |name: String, datatype, shape: &[i64]| TensorSpec { name, datatype, shape: shape.to_vec() };
    let mut inputs: Vec<_> =
        Datatype::ALL.map(|datatype| spec(datatype.name().to_owned(), datatype, &[-1])).to_vec();
    inputs.push(spec("matrix".to_owned(), Datatype::Fp32, &[-1, 2]));
    Signature { inputs, outputs: Vec::new() }
}

/// The part of the signature that a request names, so that none is missing.
fn only_named(request: &ModelInferRequest) -> Signature {
    let named = |spec: &TensorSpec| request.inputs.iter().any(|input| input.name == spec.name);
    let inputs = signature().inputs.into_iter().filter(named).collect();
    Signature { inputs, outputs: Vec::new() }
}

/// Answers whether the request was accepted.
fn hold(request: ModelInferRequest) -> bool {
    let signature = only_named(&request);
    let Ok(call) = decode_infer(request.clone(), &signature) else { return false };
    let (outputs, raw) = encode_outputs(call.inputs, call.raw);
    assert_eq!(raw, request.raw_input_contents);
    for (output, input) in outputs.into_iter().zip(request.inputs) {
        assert_eq!(
            (&output.name, &output.datatype, &output.shape),
            (&input.name, &input.datatype, &input.shape)
        );
        // As bytes, since NaN is not equal to itself.
        let bytes = |contents: Option<InferTensorContents>| contents.unwrap_or_default().encode_to_vec();
        assert_eq!(bytes(output.contents), bytes(input.contents));
    }
    true
}

/// What a client sends: any bytes.
#[test]
fn fuzz_request_bytes() {
    bolero::check!().for_each(|bytes: &[u8]| {
        if let Ok(request) = ModelInferRequest::decode(bytes) {
            hold(request);
        }
    });
}

/// An input that is often, but not always, right.
#[derive(Debug, TypeGenerator)]
struct Sketch {
    datatype: u8,
    shape: Vec<i8>,
    content: Vec<u8>,
    /// Fits the contents to the shape.
    mend: bool,
}

impl Sketch {
    /// The data type, the shape, the raw contents.
    fn raw(&self) -> (Datatype, Vec<i64>, Vec<u8>) {
        let datatype = Datatype::ALL[usize::from(self.datatype) % Datatype::ALL.len()];
        let mut shape: Vec<i64> = self.shape.iter().take(3).map(|dimension| i64::from(*dimension)).collect();
        let mut content = self.content.clone();
        if self.mend {
            match datatype.size() {
                Some(size) => content.truncate(content.len() / size * size),
                // Each byte a string of its own.
                None => content = content.iter().flat_map(|byte| [1, 0, 0, 0, *byte]).collect(),
            }
            shape = vec![(content.len() / datatype.size().unwrap_or(5)).try_into().unwrap()];
        }
        (datatype, shape, content)
    }
}

fn request_of(sketches: &[Sketch]) -> ModelInferRequest {
    let mut request = ModelInferRequest::default();
    for sketch in sketches {
        let (datatype, shape, content) = sketch.raw();
        request.inputs.push(InferInputTensor {
            name: datatype.name().to_owned(),
            datatype: datatype.name().to_owned(),
            shape,
            ..Default::default()
        });
        request.raw_input_contents.push(content.into());
    }
    request
}

#[test]
fn fuzz_raw_contents() {
    bolero::check!().with_type::<Vec<Sketch>>().for_each(|sketches| {
        hold(request_of(sketches));
    });
}

/// What is accepted raw, sent typed, is the same; and any typed contents are refused or kept.
#[test]
fn fuzz_typed_contents() {
    bolero::check!().with_type::<(Sketch, Vec<i32>)>().for_each(|(sketch, ints)| {
        let mut request = request_of(std::slice::from_ref(sketch));
        let decoded = decode_infer(request.clone(), &only_named(&request));
        request.raw_input_contents.clear();
        if let Ok(call) = decoded {
            let (mut outputs, _) = encode_outputs(call.inputs, false);
            request.inputs[0].contents = outputs.remove(0).contents;
            let raw_only = sketch.raw().0.is_raw_only();
            assert_eq!(hold(request.clone()), !raw_only);
        }
        request.inputs[0].contents.get_or_insert_default().int_contents = ints.clone();
        hold(request);
    });
}
