//! The Open Inference Protocol, straight at model serving: what does not fit the model is refused by name.

use ailayer_client::ErrorReason;
use ailayer_platform::error::{reason_of, violated_field};
use ailayer_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use ailayer_proto::inference::model_infer_request::InferInputTensor;
use ailayer_proto::inference::{InferTensorContents, ModelInferRequest, ModelMetadataRequest};
use anyhow::{bail, ensure};
use tonic::Code;

use crate::stage::{MODEL, Stage};

const TOKENS: i64 = 3;

/// Wrong shape, type, content and names; then a right call, to know that the wrong ones failed for their reason.
pub async fn tensors_that_do_not_fit_are_refused(stage: &Stage) -> anyhow::Result<()> {
    let mut client = GrpcInferenceServiceClient::connect(stage.network.model_serving.grpc_url()).await?;
    let metadata = ModelMetadataRequest { name: MODEL.to_owned(), version: String::new() };
    let metadata = client.model_metadata(metadata).await?.into_inner();
    ensure!(!metadata.inputs.is_empty(), "the model has no inputs");
    let tensor = |name: &str, datatype: &str| InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: vec![1, TOKENS],
        parameters: Default::default(),
        contents: Some(InferTensorContents { int64_contents: vec![1; 3], ..Default::default() }),
    };
    let good = ModelInferRequest {
        model_name: MODEL.to_owned(),
        inputs: metadata.inputs.iter().map(|input| tensor(&input.name, &input.datatype)).collect(),
        ..Default::default()
    };
    client.model_infer(good.clone()).await?;

    let with = |change: fn(&mut ModelInferRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let first = |request: &mut ModelInferRequest, change: fn(&mut InferInputTensor)| {
        request.inputs.iter_mut().take(1).for_each(change);
    };
    let with_first = |change: fn(&mut InferInputTensor)| {
        let mut request = good.clone();
        first(&mut request, change);
        request
    };
    use ErrorReason::{ContentMismatch, DatatypeMismatch, InvalidField, ModelNotFound, ShapeMismatch};
    let cases = [
        ("one dimension", ShapeMismatch, with_first(|it| it.shape = vec![TOKENS])),
        ("three dimensions", ShapeMismatch, with_first(|it| it.shape = vec![1, TOKENS, 1])),
        ("a negative dimension", ShapeMismatch, with_first(|it| it.shape = vec![1, -TOKENS])),
        ("a product beyond all numbers", ShapeMismatch, with_first(|it| it.shape = vec![i64::MAX, i64::MAX])),
        ("another type", DatatypeMismatch, with_first(|it| it.datatype = "FP32".to_owned())),
        ("a type that does not exist", DatatypeMismatch, with_first(|it| it.datatype = "INT63".to_owned())),
        (
            "too few values",
            ContentMismatch,
            with_first(|it| {
                it.contents = Some(InferTensorContents { int64_contents: vec![1], ..Default::default() });
            }),
        ),
        (
            "values in another field",
            ContentMismatch,
            with_first(|it| {
                it.contents = Some(InferTensorContents { fp32_contents: vec![1.0; 3], ..Default::default() });
            }),
        ),
        ("no values", ContentMismatch, with_first(|it| it.contents = None)),
        (
            "raw bytes beside values",
            ContentMismatch,
            with(|it| it.raw_input_contents = vec![vec![0; 24].into()]),
        ),
        ("an input that does not exist", InvalidField, with_first(|it| it.name = "nonsense".to_owned())),
        ("an input too few", InvalidField, with(|it| drop(it.inputs.pop()))),
        ("another model", ModelNotFound, with(|it| it.model_name = "gpt-none".to_owned())),
        ("another version", ModelNotFound, with(|it| it.model_version = "999".to_owned())),
    ];
    for (what, reason, request) in cases {
        let Err(status) = client.model_infer(request).await else { bail!("{what} was run") };
        let found = reason_of(&status);
        // Which of two faults is named first is the server's choice: a broken shape also breaks the contents.
        let either = reason == ShapeMismatch && found == Some(ContentMismatch);
        ensure!(
            found == Some(reason) || either,
            "{what}: {:?} {found:?} {}",
            status.code(),
            status.message()
        );
        let code = if reason == ModelNotFound { Code::NotFound } else { Code::InvalidArgument };
        ensure!(status.code() == code, "{what}: {:?}", status.code());
        if reason != ModelNotFound {
            ensure!(violated_field(&status).is_some(), "{what}: no field is named");
        }
    }
    client.model_infer(good).await?;
    Ok(())
}
