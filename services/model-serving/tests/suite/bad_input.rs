//! Every bad input is a typed error, and the service goes on.

use ailayer_platform::error::{ErrorReason, violated_field};
use ailayer_proto::ailayer::serving::v1::{TokenizeRequest, Truncation};
use ailayer_proto::inference::infer_parameter::ParameterChoice;
use ailayer_proto::inference::model_infer_request::InferRequestedOutputTensor;
use ailayer_proto::inference::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelMetadataRequest,
};
use bytes::Bytes;
use tonic::Code;

use crate::support::{Repository, Running, floats, infer, input, longs, refused};

const ARGUMENT: Code = Code::InvalidArgument;

#[tokio::test(flavor = "multi_thread")]
async fn unknown_models() {
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    let reason = ErrorReason::ModelNotFound;
    let long = "x".repeat(100_000);
    for name in ["", "nothing", "embed/1", "../embed", long.as_str()] {
        let message = refused(service.embed(name, &["one"]).await, Code::NotFound, reason);
        assert!(message.len() < 300, "a client's name must not fill the headers");
        refused(service.inference.model_infer(infer(name, vec![])).await, Code::NotFound, reason);
        let request = ModelMetadataRequest { name: name.to_owned(), version: String::new() };
        refused(service.inference.model_metadata(request).await, Code::NotFound, reason);
    }
    for version in ["2", "0", "01", "x", "-1"] {
        let request = TokenizeRequest {
            model_name: "embed".to_owned(),
            model_version: version.to_owned(),
            texts: vec!["one".to_owned()],
            ..Default::default()
        };
        refused(service.serving.tokenize(request).await, Code::NotFound, reason);
    }
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_and_large_texts() {
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    for texts in [&[][..], &[""], &["one", ""], &["  \t\n"]] {
        refused(service.embed("embed", texts).await, ARGUMENT, ErrorReason::InputEmpty);
    }
    let mebibyte = "one ".repeat(256 * 1024);
    let many = vec!["one"; 33];
    for texts in [&[mebibyte.as_str()][..], &["one", &"x".repeat(64 * 1024 + 1)], &many] {
        // The limits on bytes and items hold whatever the caller says about truncation.
        for truncation in [Truncation::Refuse, Truncation::End] {
            let answer = service.embed_with("embed", texts, truncation).await;
            refused(answer, ARGUMENT, ErrorReason::InputTooLarge);
        }
    }
    let status = service.embed("embed", &["one", "one one one one one one one"]).await.unwrap_err();
    assert_eq!(violated_field(&status).as_deref(), Some("texts[1]"));
    refused::<()>(Err(status), ARGUMENT, ErrorReason::InputTooLarge);
    assert_eq!(service.embed("embed", &["one"]).await.unwrap().input_tokens, 1);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit() {
    let (mut service, _repository) = Running::with_tiny(&["embed"]).await;
    let huge = "x".repeat(5 * 1024 * 1024);
    let status = service.embed("embed", &[&huge]).await.unwrap_err();
    refused::<()>(Err(status), Code::ResourceExhausted, ErrorReason::MessageTooLarge);
    assert!(service.embed("embed", &["one"]).await.is_ok());
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_truncation_and_a_model_without_texts() {
    let (mut service, _repository) = Running::with_tiny(&["embed", "add"]).await;
    let request = TokenizeRequest {
        model_name: "embed".to_owned(),
        model_version: String::new(),
        texts: vec!["one".to_owned()],
        truncation: 77,
        include_tokens: false,
    };
    refused(service.serving.tokenize(request).await, ARGUMENT, ErrorReason::InvalidField);
    refused(service.embed("add", &["one"]).await, ARGUMENT, ErrorReason::InvalidField);
    service.stop().await;
}

fn add() -> ModelInferRequest {
    let pair = || floats(&[1.0, 2.0]);
    infer("add", vec![input("a", "FP32", &[1, 2], pair()), input("b", "FP32", &[1, 2], pair())])
}

fn number() -> InferParameter {
    InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(1)) }
}

/// An output asked for, with a parameter.
fn output(name: &str, parameter: &str) -> InferRequestedOutputTensor {
    let parameters = [(parameter.to_owned(), number())].into();
    InferRequestedOutputTensor { name: name.to_owned(), parameters }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tensors() {
    use ErrorReason::{ContentMismatch, DatatypeMismatch, InvalidField, NotOffered, ShapeMismatch};
    let (mut service, _repository) = Running::with_tiny(&["add"]).await;
    type Change = fn(&mut ModelInferRequest);
    let cases: [(ErrorReason, Change); 21] = [
        (ShapeMismatch, |r| r.inputs[0].shape = vec![2, 1]),
        (ShapeMismatch, |r| r.inputs[0].shape = vec![2]),
        (ShapeMismatch, |r| r.inputs[0].shape = vec![-1, 2]),
        (ShapeMismatch, |r| r.inputs[0].shape = vec![i64::MAX, 2]),
        (DatatypeMismatch, |r| r.inputs[0].datatype = "FP64".to_owned()),
        (DatatypeMismatch, |r| r.inputs[0].datatype = "BYTES".to_owned()),
        (DatatypeMismatch, |r| r.inputs[0].datatype = "nonsense".to_owned()),
        (ContentMismatch, |r| r.inputs[0].contents = None),
        (ContentMismatch, |r| r.inputs[0].contents = Some(longs(&[1, 2]))),
        (ContentMismatch, |r| r.inputs[0].shape = vec![1 << 40, 2]),
        (ContentMismatch, |r| r.raw_input_contents = vec![Bytes::from_static(&[0; 8]); 2]),
        (InvalidField, |r| r.inputs[0].name = "c".to_owned()),
        (InvalidField, |r| drop(r.inputs.pop())),
        (ContentMismatch, |r| {
            r.inputs.iter_mut().for_each(|input| input.contents = None);
            r.raw_input_contents = vec![Bytes::from_static(&[0; 8]); 3];
        }),
        (ContentMismatch, |r| {
            r.inputs.iter_mut().for_each(|input| input.contents = None);
            r.raw_input_contents = vec![Bytes::from_static(&[0; 8]), Bytes::from_static(&[0; 7])];
        }),
        (InvalidField, |r| r.inputs[1] = r.inputs[0].clone()),
        (InvalidField, |r| r.outputs.push(output("product", ""))),
        (NotOffered, |r| r.outputs.push(output("sum", "classification"))),
        (NotOffered, |r| r.outputs.push(output("sum", "shared_memory_region"))),
        (NotOffered, |r| drop(r.inputs[0].parameters.insert("shared_memory_region".into(), number()))),
        (NotOffered, |r| drop(r.parameters.insert("triton_x".to_owned(), Default::default()))),
    ];
    for (index, (reason, change)) in cases.into_iter().enumerate() {
        let mut request = add();
        change(&mut request);
        let code = if reason == NotOffered { Code::Unimplemented } else { ARGUMENT };
        let message = refused(service.inference.model_infer(request).await, code, reason);
        assert!(!message.is_empty(), "{index}");
    }
    let mut unknown = add();
    unknown.parameters.insert("whatever".to_owned(), number());
    unknown.inputs[0].parameters.insert("whatever".to_owned(), number());
    unknown.outputs = vec![output("sum", "binary_data")];
    let answer = service.inference.model_infer(unknown).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].contents.as_ref().unwrap().fp32_contents, [2.0, 4.0]);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_strings() {
    let (mut service, _repository) = Running::with_tiny(&["strings"]).await;
    let typed = |elements: &[&'static [u8]]| {
        let bytes_contents = elements.iter().map(|element| Bytes::from_static(element)).collect();
        let contents = InferTensorContents { bytes_contents, ..Default::default() };
        infer("strings", vec![input("text", "BYTES", &[1, 2], contents)])
    };
    let raw = |contents: &'static [u8]| {
        let mut request = typed(&[]);
        request.raw_input_contents = vec![Bytes::from_static(contents)];
        request
    };
    for (request, detail) in [
        (typed(&[b"one"]), "holds 1 values, the shape has 2"),
        (typed(&[b"one", b"two", b"three"]), "holds 3 values, the shape has 2"),
        (typed(&[b"one", b"\xff"]), "element 1 is not UTF-8"),
        (typed(&[b"a\0b", b"two"]), "element 0 holds a NUL"),
        (raw(b"\x01\0\0\0a\x02\0\0\0b"), "element 1: its length leads past the end"),
        (raw(b"\xff\xff\xff\xffaaaa"), "element 0: its length leads past the end"),
        (raw(b"\x01\0\0\0a\x01\0\0"), "element 1: its length leads past the end"),
        (raw(b"\x01\0\0\0a"), "another number of elements"),
        (raw(b"\0\0\0\0\0\0\0\0\0\0\0\0"), "another number of elements"),
        (raw(b"\x01\0\0\0a\x01\0\0\0\xff"), "element 1 is not UTF-8"),
        (raw(b"\x01\0\0\0\0\x01\0\0\0a"), "element 0 holds a NUL"),
    ] {
        let answer = service.inference.model_infer(request).await;
        let message = refused(answer, ARGUMENT, ErrorReason::ContentMismatch);
        assert!(message.contains(detail), "{message}");
    }
    let answer = service.inference.model_infer(raw(b"\x01\0\0\0a\0\0\0\0")).await.unwrap().into_inner();
    assert_eq!(answer.raw_output_contents[0], b"\x01\0\0\0a\0\0\0\0".as_slice());
    service.stop().await;
}

/// FP16 has no field of its own; whatever is put into another, it goes raw or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn typed_halves() {
    let (mut service, _repository) = Running::with_tiny(&["identities"]).await;
    let metadata = ModelMetadataRequest { name: "identities".to_owned(), version: String::new() };
    let metadata = service.inference.model_metadata(metadata).await.unwrap().into_inner();
    let empty = InferTensorContents::default;
    let inputs = metadata.inputs.iter().map(|spec| input(&spec.name, &spec.datatype, &[0], empty()));
    let request = infer("identities", inputs.collect());
    let message =
        refused(service.inference.model_infer(request).await, ARGUMENT, ErrorReason::ContentMismatch);
    assert!(message.contains("FP16 goes raw only"), "{message}");
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_are_not_finite_are_refused_where_the_model_says_so() {
    let repository = Repository::new();
    repository.add("add", "add", "1");
    let careful = repository.add("add", "careful", "1");
    std::fs::write(careful.join("model.toml"), "kind = \"tensor\"\nrefuse_non_finite = true\n").unwrap();
    let mut service = Running::start(repository.config()).await;
    service.until_ready().await;
    for bad in [f32::NAN, f32::INFINITY] {
        let mut request = add();
        request.inputs[1].contents = Some(floats(&[1.0, bad]));
        assert!(service.inference.model_infer(request.clone()).await.is_ok());
        request.model_name = "careful".to_owned();
        let message =
            refused(service.inference.model_infer(request).await, ARGUMENT, ErrorReason::InvalidField);
        assert!(message.contains("inputs[1]: element 1"), "{message}");
    }
    service.stop().await;
}

/// The graph itself is the last to see that two free dimensions must be equal, or that an id is in its table.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_graph_can_see() {
    let (mut service, _repository) = Running::with_tiny(&["add", "gather", "embed"]).await;
    let mut unequal = add();
    unequal.inputs[0] = input("a", "FP32", &[3, 2], floats(&[0.0; 6]));
    unequal.inputs[1] = input("b", "FP32", &[2, 2], floats(&[0.0; 4]));
    let status = service.inference.model_infer(unequal).await.unwrap_err();
    assert!(matches!(status.code(), Code::InvalidArgument | Code::Internal), "{status:?}");
    for id in [-11, 10, i64::MIN, i64::MAX] {
        let request = infer("gather", vec![input("ids", "INT64", &[1], longs(&[id]))]);
        refused(service.inference.model_infer(request).await, ARGUMENT, ErrorReason::InvalidField);
    }
    // Where the vocabulary is known, ids are checked before they are queued.
    for (id, columns) in [(-1, 1), (10, 1)] {
        let inputs = ["ids", "mask"].map(|name| input(name, "INT64", &[1, columns], longs(&[id])));
        let message = refused(
            service.inference.model_infer(infer("embed", inputs.to_vec())).await,
            ARGUMENT,
            ErrorReason::InvalidField,
        );
        assert!(message.contains("vocabulary"), "{message}");
    }
    let inputs = ["ids", "mask"].map(|name| input(name, "INT64", &[1, 7], longs(&[1; 7])));
    refused(
        service.inference.model_infer(infer("embed", inputs.to_vec())).await,
        ARGUMENT,
        ErrorReason::InputTooLarge,
    );
    let request = infer("gather", vec![input("ids", "INT64", &[1], longs(&[9]))]);
    let answer = service.inference.model_infer(request).await.unwrap().into_inner();
    assert_eq!(answer.outputs[0].contents.as_ref().unwrap().fp32_contents, [18.0, 19.0]);
    service.stop().await;
}
