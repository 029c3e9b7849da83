//! `ModelInfer`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ailayer_proto::inference::infer_parameter::ParameterChoice;
use ailayer_proto::inference::{InferParameter, ModelInferRequest, ModelInferResponse};
use tonic::Status;

use super::Rpc;
use super::call_context::with_parameters;
use super::convert::{InferCall, decode_infer, encode_outputs};
use crate::domain::call::CallContext;
use crate::domain::finite::check_finite;
use crate::domain::input_error::InputError;
use crate::domain::model::ModelInfo;
use crate::domain::statistics::{Outcome, RequestFinished};
use crate::model::Model;

/// Runs one request, of a call or of a stream; `method` is which. `context` is what the headers say.
pub(super) async fn model_infer(
    rpc: &Rpc,
    method: &'static str,
    request: ModelInferRequest,
    context: &CallContext,
) -> Result<ModelInferResponse, Status> {
    let arrival = Instant::now();
    let (name, version) = (request.model_name.clone(), request.model_version.clone());
    let describes = describes_model(&request);
    rpc.with_model(method, &name, &version, async |model| {
        let (call, context) =
            checked(request, model, context).inspect_err(|_| refused(model, arrival.elapsed()))?;
        let InferCall { id, inputs, outputs, raw } = call;
        let inferred = model.infer(inputs, outputs, &context).await?;
        let (outputs, raw_output_contents) = encode_outputs(inferred.outputs, raw);
        Ok(ModelInferResponse {
            model_name: model.info().id.name.clone(),
            model_version: model.info().id.version.to_string(),
            id,
            parameters: if describes { description(model.info()) } else { HashMap::new() },
            outputs,
            raw_output_contents,
        })
    })
    .await
}

/// Whether the answer shall say which file ran, and on what: a caller who vouches for the answer must know. Others do not pay for it.
fn describes_model(request: &ModelInferRequest) -> bool {
    let asked = request.parameters.get("describe_model").and_then(|it| it.parameter_choice.as_ref());
    matches!(asked, Some(ParameterChoice::BoolParam(true)))
}

fn description(info: &ModelInfo) -> HashMap<String, InferParameter> {
    let text = |text: String| InferParameter { parameter_choice: Some(ParameterChoice::StringParam(text)) };
    [
        ("model_digest".to_owned(), text(info.digest.to_string())),
        ("execution_provider".to_owned(), text(info.execution_provider.to_owned())),
    ]
    .into()
}

fn checked(
    request: ModelInferRequest,
    model: &Model,
    context: &CallContext,
) -> Result<(InferCall, CallContext), InputError> {
    let context = with_parameters(context, &request.parameters)?;
    let call = decode_infer(request, model.signature())?;
    if model.settings().refuse_non_finite {
        check_finite(&call.inputs)?;
    }
    Ok((call, context))
}

/// Counts a request that never came as far as the model.
fn refused(model: &Model, total: Duration) {
    model.metrics().request_finished(&RequestFinished {
        outcome: Outcome::Other,
        total,
        queue: Duration::ZERO,
        compute_input: Duration::ZERO,
        compute_infer: Duration::ZERO,
        compute_output: Duration::ZERO,
        rows: 0,
    });
}
