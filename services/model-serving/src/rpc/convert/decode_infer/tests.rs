use ailayer_proto::inference::InferTensorContents;
use ailayer_proto::inference::infer_parameter::ParameterChoice;
use proptest::prelude::*;

use super::super::encode_outputs::encode_outputs;
use super::*;
use crate::domain::datatype::Datatype;

fn signature() -> Signature {
    let spec = |name: &str, datatype, shape: &[i64]| TensorSpec {
        name: name.to_owned(),
        datatype,
        shape: shape.to_vec(),
    };
    Signature {
        inputs: vec![spec("a", Datatype::Fp32, &[-1, 2]), spec("b", Datatype::Int8, &[-1])],
        outputs: vec![spec("x", Datatype::Fp32, &[-1, 2]), spec("y", Datatype::Int8, &[-1])],
    }
}

fn input(name: &str, datatype: &str, shape: &[i64], contents: InferTensorContents) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        parameters: HashMap::new(),
        contents: Some(contents),
    }
}

fn typed() -> ModelInferRequest {
    let floats = InferTensorContents { fp32_contents: vec![1.0, 2.0], ..Default::default() };
    let ints = InferTensorContents { int_contents: vec![-128], ..Default::default() };
    ModelInferRequest {
        id: "7".to_owned(),
        inputs: vec![input("a", "FP32", &[1, 2], floats), input("b", "INT8", &[1], ints)],
        ..Default::default()
    }
}

fn raw() -> ModelInferRequest {
    let mut request = typed();
    request.inputs.iter_mut().for_each(|input| input.contents = None);
    request.raw_input_contents = vec![Bytes::from_static(&[0; 8]), Bytes::from_static(&[255])];
    request
}

fn refusal(mut request: ModelInferRequest, change: impl FnOnce(&mut ModelInferRequest)) -> InputError {
    decode_infer(request.clone(), &signature()).unwrap();
    change(&mut request);
    decode_infer(request, &signature()).unwrap_err()
}

fn flag() -> HashMap<String, InferParameter> {
    HashMap::new()
}

fn parameter(name: &str) -> HashMap<String, InferParameter> {
    let value = InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(1)) };
    flag().into_iter().chain([(name.to_owned(), value)]).collect()
}

#[test]
fn decodes_both_encodings() {
    let call = decode_infer(typed(), &signature()).unwrap();
    assert!(!call.raw);
    assert_eq!(call.id, "7");
    assert_eq!(call.outputs, ["x", "y"]);
    assert_eq!(call.inputs[1].tensor.data(), &TensorData::from(vec![-128_i8]));
    let call = decode_infer(raw(), &signature()).unwrap();
    assert!(call.raw);
    assert_eq!(call.inputs[1].tensor.data(), &TensorData::from(vec![-1_i8]));
}

#[test]
fn outputs_are_answered_in_the_order_asked() {
    let mut request = typed();
    request.outputs = ["y", "x"]
        .map(|name| InferRequestedOutputTensor {
            name: name.to_owned(),
            parameters: parameter("binary_data"),
        })
        .to_vec();
    assert_eq!(decode_infer(request, &signature()).unwrap().outputs, ["y", "x"]);
}

#[test]
fn refuses_names() {
    use InputError::*;
    assert!(matches!(refusal(typed(), |r| r.inputs[0].name = "c".into()), UnknownTensor { .. }));
    assert!(matches!(refusal(typed(), |r| r.inputs[1] = r.inputs[0].clone()), DuplicateTensor { .. }));
    assert!(matches!(refusal(typed(), |r| drop(r.inputs.pop())), MissingInput { name } if name == "b"));
    assert!(matches!(refusal(typed(), |r| r.inputs.clear()), MissingInput { .. }));
    let output = |name: &str| InferRequestedOutputTensor { name: name.into(), ..Default::default() };
    assert!(matches!(refusal(typed(), |r| r.outputs = vec![output("z")]), UnknownTensor { .. }));
    assert!(matches!(
        refusal(typed(), |r| r.outputs = vec![output("x"), output("x")]),
        DuplicateTensor { .. }
    ));
}

#[test]
fn refuses_types_and_shapes() {
    use InputError::*;
    for datatype in ["FP64", "BYTES", "FP16", "fp32", "", "ANYTHING"] {
        assert!(matches!(refusal(typed(), |r| r.inputs[0].datatype = datatype.into()), Datatype { .. }));
    }
    for shape in [vec![2], vec![1, 3], vec![], vec![1, 2, 1]] {
        assert!(matches!(refusal(typed(), |r| r.inputs[0].shape = shape), Shape { .. }));
    }
    for shape in [vec![-1, 2], vec![i64::MAX, 2], vec![1 << 62, 2], vec![i64::MIN, i64::MIN]] {
        assert!(matches!(refusal(typed(), |r| r.inputs[0].shape = shape), BadShape { .. }));
    }
}

#[test]
fn refuses_contents() {
    let changes: [fn(&mut ModelInferRequest); 6] = [
        |r| r.inputs[0].contents = None,
        |r| r.inputs[0].shape = vec![2, 2],
        |r| r.inputs[0].contents.as_mut().unwrap().fp64_contents = vec![1.0, 2.0],
        |r| r.inputs[0].contents.as_mut().unwrap().bytes_contents = vec![Bytes::new()],
        |r| r.inputs[1].contents.as_mut().unwrap().int_contents = vec![128],
        |r| r.raw_input_contents = vec![Bytes::from_static(&[0; 8]), Bytes::from_static(&[0])],
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert!(matches!(refusal(typed(), change), InputError::Contents { .. }), "{index}");
    }
    let changes: [fn(&mut ModelInferRequest); 3] = [
        |r| drop(r.raw_input_contents.pop()),
        |r| r.raw_input_contents.push(Bytes::new()),
        |r| r.raw_input_contents[0] = Bytes::from_static(&[0; 7]),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert!(matches!(refusal(raw(), change), InputError::Contents { .. }), "{index}");
    }
}

#[test]
fn refuses_parameters_that_would_change_the_answer() {
    use InputError::ParameterNotOffered;
    assert!(matches!(refusal(typed(), |r| r.parameters = parameter("triton_x")), ParameterNotOffered { .. }));
    let region = || parameter("shared_memory_region");
    assert!(matches!(refusal(typed(), |r| r.inputs[0].parameters = region()), ParameterNotOffered { .. }));
    let output = |parameters| InferRequestedOutputTensor { name: "x".into(), parameters };
    for parameters in [region(), parameter("classification")] {
        assert!(matches!(
            refusal(typed(), |r| r.outputs = vec![output(parameters)]),
            ParameterNotOffered { .. }
        ));
    }
    for reserved in ["triton_x", "shared_memory_region"] {
        type Parameters = fn(&mut ModelInferRequest) -> &mut HashMap<String, InferParameter>;
        let everywhere: [Parameters; 2] = [|r| &mut r.parameters, |r| &mut r.inputs[1].parameters];
        for place in everywhere {
            let refused = refusal(typed(), |r| *place(r) = parameter(reserved));
            assert!(matches!(refused, ParameterNotOffered { .. }));
        }
    }
    for known in ["priority", "timeout", "sequence_id", "anything", "triton", ""] {
        let mut request = typed();
        request.parameters = parameter(known);
        request.inputs[0].parameters = parameter(known);
        assert!(decode_infer(request, &signature()).is_ok());
    }
}

#[test]
fn no_elements_are_contents_too() {
    let mut request = typed();
    request.inputs[0].shape = vec![0, 2];
    request.inputs[0].contents = None;
    assert_eq!(decode_infer(request, &signature()).unwrap().inputs[0].tensor.data().len(), 0);
}

fn any_contents() -> impl Strategy<Value = InferTensorContents> {
    let small = || 0usize..4;
    (small(), small(), small(), small(), any::<i32>()).prop_map(|(floats, ints, longs, bytes, value)| {
        InferTensorContents {
            fp32_contents: vec![f32::NAN; floats],
            int_contents: vec![value; ints],
            int64_contents: vec![i64::MIN; longs],
            bytes_contents: vec![Bytes::from_static(b"\xff"); bytes],
            ..Default::default()
        }
    })
}

fn any_input() -> impl Strategy<Value = InferInputTensor> {
    let name = prop_oneof![Just("a".to_owned()), Just("b".to_owned()), ".{0,3}"];
    let datatype = prop_oneof![Just("FP32".to_owned()), Just("INT8".to_owned()), "[A-Z0-9]{0,6}"];
    let dimension = prop_oneof![-1i64..4, any::<i64>()];
    let shape = proptest::collection::vec(dimension, 0..4);
    (name, datatype, shape, proptest::option::of(any_contents())).prop_map(
        |(name, datatype, shape, contents)| InferInputTensor {
            name,
            datatype,
            shape,
            parameters: HashMap::new(),
            contents,
        },
    )
}

fn any_request() -> impl Strategy<Value = ModelInferRequest> {
    let raw = proptest::collection::vec(any::<u8>(), 0..17).prop_map(Bytes::from);
    let output = prop_oneof![Just("x".to_owned()), ".{0,2}"]
        .prop_map(|name| InferRequestedOutputTensor { name, parameters: HashMap::new() });
    (
        proptest::collection::vec(any_input(), 0..4),
        proptest::collection::vec(raw, 0..4),
        proptest::collection::vec(output, 0..3),
    )
        .prop_map(|(inputs, raw_input_contents, outputs)| ModelInferRequest {
            inputs,
            raw_input_contents,
            outputs,
            ..Default::default()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    /// Whatever a client sends, decoding ends without a panic, and what it lets through fits the graph.
    #[test]
    fn nothing_wrong_gets_through(request in any_request()) {
        let signature = signature();
        if let Ok(call) = decode_infer(request, &signature) {
            prop_assert_eq!(call.inputs.len(), signature.inputs.len());
            for input in &call.inputs {
                let spec = signature.input(&input.name).unwrap();
                prop_assert_eq!(input.tensor.data().datatype(), spec.datatype);
                prop_assert!(shape::fits(&spec.shape, input.tensor.shape()));
                prop_assert_eq!(shape::element_count(input.tensor.shape()), Ok(input.tensor.data().len()));
            }
        }
    }

    /// The bytes of any protobuf message, however broken, are refused or decoded without a panic.
    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(request) = <ModelInferRequest as prost::Message>::decode(bytes.as_slice()) {
            let _ = decode_infer(request, &signature());
        }
    }

    /// An answer in either encoding, sent back as a request, is the same tensor.
    #[test]
    fn encoding_is_decoding_backwards(bytes in proptest::collection::vec(any::<u8>(), 1..9), raw: bool) {
        let shape = vec![i64::try_from(bytes.len()).unwrap()];
        let data = TensorData::from_raw(Datatype::Int8, bytes.len(), bytes.into()).unwrap();
        let tensor = Tensor::try_new(shape, data).unwrap();
        let sent = NamedTensor { name: "b".to_owned(), tensor };
        let (outputs, raw_contents) = encode_outputs(vec![sent.clone()], raw);
        let output = outputs.into_iter().next().unwrap();
        let request = ModelInferRequest {
            inputs: vec![InferInputTensor {
                name: output.name,
                datatype: output.datatype,
                shape: output.shape,
                parameters: HashMap::new(),
                contents: output.contents,
            }],
            raw_input_contents: raw_contents,
            ..Default::default()
        };
        let only_b = Signature { inputs: vec![signature().inputs[1].clone()], outputs: vec![] };
        let call = decode_infer(request, &only_b).unwrap();
        prop_assert_eq!(call.raw, raw);
        prop_assert_eq!(&call.inputs[0], &sent);
    }
}
