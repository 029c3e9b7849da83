//! Tensors of every served type go through the engine unchanged, typed and raw.

use ailayer_proto::ailayer::serving::v1::{ListModelsRequest, TensorSpec};
use ailayer_proto::inference::infer_parameter::ParameterChoice;
use ailayer_proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use ailayer_proto::inference::{
    InferParameter, InferTensorContents, ModelMetadataRequest, ServerLiveRequest, ServerMetadataRequest,
};
use bytes::Bytes;

use crate::support::{Running, floats, infer, input};

/// Name in the tiny graph, protocol's name, two values.
fn every_type() -> Vec<(&'static str, &'static str, InferTensorContents)> {
    let contents = |fill: fn(&mut InferTensorContents)| {
        let mut contents = InferTensorContents::default();
        fill(&mut contents);
        contents
    };
    vec![
        ("BOOL", "BOOL", contents(|c| c.bool_contents = vec![true, false])),
        ("INT8", "INT8", contents(|c| c.int_contents = vec![-128, 127])),
        ("INT16", "INT16", contents(|c| c.int_contents = vec![-32_768, 32_767])),
        ("INT32", "INT32", contents(|c| c.int_contents = vec![i32::MIN, i32::MAX])),
        ("INT64", "INT64", contents(|c| c.int64_contents = vec![i64::MIN, i64::MAX])),
        ("UINT8", "UINT8", contents(|c| c.uint_contents = vec![0, 255])),
        ("UINT16", "UINT16", contents(|c| c.uint_contents = vec![0, 65_535])),
        ("UINT32", "UINT32", contents(|c| c.uint_contents = vec![0, u32::MAX])),
        ("UINT64", "UINT64", contents(|c| c.uint64_contents = vec![0, u64::MAX])),
        ("FLOAT", "FP32", contents(|c| c.fp32_contents = vec![f32::MIN_POSITIVE, f32::INFINITY])),
        ("DOUBLE", "FP64", contents(|c| c.fp64_contents = vec![-0.0, f64::MAX])),
        (
            "STRING",
            "BYTES",
            contents(|c| c.bytes_contents = vec![Bytes::new(), Bytes::from_static("zwölf".as_bytes())]),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_typed() {
    let (mut service, _repository) = Running::with_tiny(&["identities_typed"]).await;
    let types = every_type();
    let inputs: Vec<InferInputTensor> = types
        .iter()
        .map(|(name, datatype, contents)| input(&format!("in_{name}"), datatype, &[2], contents.clone()))
        .collect();
    let mut request = infer("identities_typed", inputs);
    request.id = "seven".to_owned();
    let answer = service.inference.model_infer(request).await.unwrap().into_inner();
    assert_eq!((answer.id.as_str(), answer.model_version.as_str()), ("seven", "1"));
    assert!(answer.raw_output_contents.is_empty());
    assert_eq!(answer.outputs.len(), types.len());
    for (output, (name, datatype, contents)) in answer.outputs.iter().zip(types) {
        assert_eq!(
            (output.name.as_str(), output.datatype.as_str()),
            (format!("out_{name}").as_str(), datatype)
        );
        assert_eq!(output.contents.as_ref(), Some(&contents));
    }
    service.stop().await;
}

/// Who sells a model must say what it takes, and vouches for the very file that has answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_model_says_what_it_takes_and_which_file_has_run() {
    let (mut service, _repository) = Running::with_tiny(&["add"]).await;
    let models = service.serving.list_models(ListModelsRequest {}).await.unwrap().into_inner().models;
    let told = |specs: &[TensorSpec]| -> Vec<(String, String, Vec<i64>)> {
        specs.iter().map(|it| (it.name.clone(), it.datatype.clone(), it.shape.clone())).collect()
    };
    let tensor = |name: &str| (name.to_owned(), "FP32".to_owned(), vec![-1, 2]);
    assert_eq!((models[0].name.as_str(), models[0].kind.as_str()), ("add", "tensor"));
    assert_eq!(told(&models[0].inputs), [tensor("a"), tensor("b")]);
    assert_eq!(told(&models[0].outputs), [tensor("sum"), tensor("difference")]);

    let two = || floats(&[1.0, 2.0]);
    let request =
        || infer("add", vec![input("a", "FP32", &[1, 2], two()), input("b", "FP32", &[1, 2], two())]);
    let silent = service.inference.model_infer(request()).await.unwrap().into_inner();
    assert!(silent.parameters.is_empty(), "nobody has asked");
    let yes = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
    let mut asking = request();
    asking.parameters.insert("describe_model".to_owned(), yes);
    let answer = service.inference.model_infer(asking).await.unwrap().into_inner();
    let said = |name: &str| match &answer.parameters[name].parameter_choice {
        Some(ParameterChoice::StringParam(word)) => word.clone(),
        other => panic!("{name}: {other:?}"),
    };
    let digest: String = models[0].digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        (said("model_digest"), said("execution_provider")),
        (digest, models[0].execution_provider.clone())
    );
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_raw() {
    let (mut service, _repository) = Running::with_tiny(&["identities"]).await;
    let mut types: Vec<_> = every_type().into_iter().map(|(name, datatype, _)| (name, datatype)).collect();
    types.extend([("FLOAT16", "FP16"), ("BFLOAT16", "BF16")]);
    let sizes = [1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8, 0, 2, 2];
    let mut raw: Vec<Bytes> = sizes.iter().map(|size| (0..2 * size).map(|byte| byte % 2).collect()).collect();
    raw[11] = Bytes::from_static(b"\x03\0\0\0\xe2\x82\xac\0\0\0\0");
    let inputs = types.iter().map(|(name, datatype)| InferInputTensor {
        contents: None,
        ..input(&format!("in_{name}"), datatype, &[2], InferTensorContents::default())
    });
    let mut request = infer("identities", inputs.collect());
    request.outputs = types.iter().map(|(name, _)| wanted(&format!("out_{name}"))).collect();
    request.raw_input_contents = raw.clone();
    let answer = service.inference.model_infer(request).await.unwrap().into_inner();
    assert_eq!(answer.raw_output_contents, raw);
    assert!(answer.outputs.iter().all(|output| output.contents.is_none() && output.shape == [2]));
    for (output, (_, datatype)) in answer.outputs.iter().zip(types) {
        assert_eq!(output.datatype, datatype);
    }
    service.stop().await;
}

fn wanted(name: &str) -> InferRequestedOutputTensor {
    InferRequestedOutputTensor { name: name.to_owned(), ..Default::default() }
}

/// No field of the typed contents can carry FP16: then all outputs go raw. Where it is not asked for, none does.
#[tokio::test(flavor = "multi_thread")]
async fn a_half_makes_the_answer_raw() {
    let (mut service, _repository) = Running::with_tiny(&["half"]).await;
    let mut request = infer("half", vec![input("x", "FP32", &[2], floats(&[1.0, -2.0]))]);
    let answer = service.inference.model_infer(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].datatype, "FP16");
    assert!(answer.outputs.iter().all(|output| output.contents.is_none()));
    assert_eq!(answer.raw_output_contents[0], [0, 0x3c, 0, 0xc0].as_slice());
    assert_eq!(answer.raw_output_contents[1], [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0].as_slice());
    request.outputs = vec![wanted("z")];
    let answer = service.inference.model_infer(request).await.unwrap().into_inner();
    assert!(answer.raw_output_contents.is_empty());
    assert_eq!(answer.outputs[0].contents.as_ref().unwrap().fp32_contents, [1.0, -2.0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_of_any_length() {
    let (mut service, _repository) = Running::with_tiny(&["strings"]).await;
    let long = Bytes::from("ä".repeat(100_000));
    let texts = InferTensorContents {
        bytes_contents: vec![long, Bytes::new(), Bytes::from_static(b" \n"), Bytes::from_static(b"x")],
        ..Default::default()
    };
    let request = infer("strings", vec![input("text", "BYTES", &[2, 2], texts.clone())]);
    let answer = service.inference.model_infer(request).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].shape, [2, 2]);
    assert_eq!(answer.outputs[0].contents.as_ref(), Some(&texts));
    let empty = infer("strings", vec![input("text", "BYTES", &[0, 2], InferTensorContents::default())]);
    let answer = service.inference.model_infer(empty).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].shape, [0, 2]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_are_chosen_and_ordered_by_the_client() {
    let (mut service, _repository) = Running::with_tiny(&["add"]).await;
    let pair = |name: &str, values: [f32; 2]| input(name, "FP32", &[1, 2], floats(&values));
    let mut request = infer("add", vec![pair("b", [10.0, 20.0]), pair("a", [1.0, 2.0])]);
    for (names, values) in [
        (vec!["difference", "sum"], vec![[-9.0, -18.0], [11.0, 22.0]]),
        (vec!["difference"], vec![[-9.0, -18.0]]),
        (vec![], vec![[11.0, 22.0], [-9.0, -18.0]]),
    ] {
        request.outputs = names.iter().map(|name| wanted(name)).collect();
        let answer = service.inference.model_infer(request.clone()).await.unwrap().into_inner();
        let answered: Vec<_> =
            answer.outputs.into_iter().map(|output| output.contents.unwrap().fp32_contents).collect();
        assert_eq!(answered, values);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tensor_without_elements() {
    let (mut service, _repository) = Running::with_tiny(&["add"]).await;
    let none = |name: &str| input(name, "FP32", &[0, 2], InferTensorContents::default());
    let answer = service.inference.model_infer(infer("add", vec![none("a"), none("b")])).await.unwrap();
    assert_eq!(answer.into_inner().outputs[0].shape, [0, 2]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata() {
    let (mut service, _repository) = Running::with_tiny(&["add"]).await;
    assert!(service.inference.server_live(ServerLiveRequest {}).await.unwrap().into_inner().live);
    let server = service.inference.server_metadata(ServerMetadataRequest {}).await.unwrap().into_inner();
    assert_eq!((server.name.as_str(), server.extensions.is_empty()), ("ailayer-model-serving", false));
    let request = ModelMetadataRequest { name: "add".to_owned(), version: String::new() };
    let model = service.inference.model_metadata(request).await.unwrap().into_inner();
    assert_eq!(
        (model.versions.as_slice(), model.platform.as_str()),
        (&["1".to_owned()][..], "onnxruntime_onnx")
    );
    assert_eq!((model.inputs[0].name.as_str(), model.inputs[0].datatype.as_str()), ("a", "FP32"));
    assert_eq!(model.inputs[0].shape, [-1, 2]);
    assert_eq!(model.outputs.len(), 2);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_of_the_graph() {
    let (mut service, _repository) = Running::with_tiny(&["described", "identities"]).await;
    let request = ModelMetadataRequest { name: "described".to_owned(), version: String::new() };
    let model = service.inference.model_metadata(request).await.unwrap().into_inner();
    for (key, value) in [
        ("onnx.producer", "make_tiny"),
        ("onnx.description", "Gives back what it gets."),
        ("onnx.graph", "described"),
        ("onnx.domain", "test.ailayer"),
        ("onnx.version", "7"),
        ("onnx.custom.author", "nobody"),
        ("onnx.custom.licence", "none"),
    ] {
        assert_eq!(model.properties.get(key).map(String::as_str), Some(value), "{key}");
    }
    let request = ModelMetadataRequest { name: "identities".to_owned(), version: String::new() };
    let model = service.inference.model_metadata(request).await.unwrap().into_inner();
    let types: Vec<_> = model.inputs.iter().map(|input| input.datatype.as_str()).collect();
    assert_eq!(types[9..], ["FP16", "BF16", "FP32", "FP64", "BYTES"]);
    service.stop().await;
}
