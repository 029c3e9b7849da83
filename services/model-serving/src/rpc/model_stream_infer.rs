//! `ModelStreamInfer`.

use ailayer_platform::error::Failure;
use ailayer_proto::inference::infer_parameter::ParameterChoice;
use ailayer_proto::inference::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

use super::call_context::StreamContext;
use super::call_stream::{self, within_deadline};
use super::{Rpc, model_infer};

/// Has failures end the stream with their status.
const STATUS_HEADER: &str = "triton_grpc_error";
/// Asks for [`FINAL`], which only decoupled models need otherwise.
const WANTS_FINAL: &str = "triton_enable_empty_final_response";
/// Says that no more answers to the request follow. A request has one answer, so no empty one is ever sent.
const FINAL: &str = "triton_final_response";

/// The answers of one stream.
pub(super) type Answers = call_stream::Answers<ModelStreamInferResponse>;

pub(super) fn model_stream_infer(
    rpc: Rpc,
    request: Request<Streaming<ModelInferRequest>>,
) -> Result<Answers, Status> {
    let context = StreamContext::try_new(request.metadata()).map_err(Failure::from)?;
    let charges = call_stream::charges(&request);
    let in_status = wants_status(request.metadata());
    Ok(call_stream::answers(request.into_inner(), charges, move |request| {
        let (rpc, context) = (rpc.clone(), context.clone());
        async move { answer(&rpc, request, &context, in_status).await }
    }))
}

fn wants_status(headers: &MetadataMap) -> bool {
    headers.get(STATUS_HEADER).is_some_and(|value| value.as_bytes() == b"true")
}

async fn answer(
    rpc: &Rpc,
    mut request: ModelInferRequest,
    context: &StreamContext,
    in_status: bool,
) -> Result<ModelStreamInferResponse, Status> {
    let id = request.id.clone();
    let wants_final = request.parameters.remove(WANTS_FINAL).is_some_and(is_true);
    let work = within_deadline(context, async |context| {
        model_infer::model_infer(rpc, "ModelStreamInfer", request, context).await
    });
    match work.await {
        Ok(mut answer) => {
            if wants_final {
                let parameter = InferParameter { parameter_choice: Some(ParameterChoice::BoolParam(true)) };
                answer.parameters.insert(FINAL.to_owned(), parameter);
            }
            Ok(ModelStreamInferResponse { error_message: String::new(), infer_response: Some(answer) })
        }
        Err(status) if in_status => Err(status),
        Err(status) => Ok(ModelStreamInferResponse {
            error_message: shown(&id, &status),
            infer_response: Some(ModelInferResponse { id, ..Default::default() }),
        }),
    }
}

/// As Triton writes it, so that logs of clients can be searched alike.
fn shown(id: &str, status: &Status) -> String {
    if id.is_empty() {
        status.message().to_owned()
    } else {
        format!("[request id: {id}] {}", status.message())
    }
}

fn is_true(parameter: InferParameter) -> bool {
    parameter.parameter_choice == Some(ParameterChoice::BoolParam(true))
}
