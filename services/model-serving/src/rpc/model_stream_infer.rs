//! `ModelStreamInfer`.
//!
//! No task and no queue of its own: the answers are computed as far as the reader takes them, so a slow reader
//! holds at most [`MAX_IN_FLIGHT`] requests, a client that leaves cancels them, and one that has sent its last
//! message gets what is outstanding.

use std::pin::Pin;
use std::time::Instant;

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_platform::server::deadline;
use ailayer_proto::inference::infer_parameter::ParameterChoice;
use ailayer_proto::inference::{
    InferParameter, ModelInferRequest, ModelInferResponse, ModelStreamInferResponse,
};
use futures::{Stream, StreamExt as _, future};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status, Streaming};

use super::call_context::StreamContext;
use super::{Rpc, model_infer};

/// The most requests of one stream that are worked on at a time; further ones stay in the connection's window.
const MAX_IN_FLIGHT: usize = 32;
/// Has failures end the stream with their status.
const STATUS_HEADER: &str = "triton_grpc_error";
/// Asks for [`FINAL`], which only decoupled models need otherwise.
const WANTS_FINAL: &str = "triton_enable_empty_final_response";
/// Says that no more answers to the request follow. A request has one answer, so no empty one is ever sent.
const FINAL: &str = "triton_final_response";

/// The answers of one stream.
pub(super) type Answers = Pin<Box<dyn Stream<Item = Result<ModelStreamInferResponse, Status>> + Send>>;

pub(super) fn model_stream_infer(
    rpc: Rpc,
    request: Request<Streaming<ModelInferRequest>>,
) -> Result<Answers, Status> {
    let context = StreamContext::try_new(request.metadata()).map_err(Failure::from)?;
    let in_status = wants_status(request.metadata());
    Ok(answers(rpc, request.into_inner(), context, in_status))
}

fn wants_status(headers: &MetadataMap) -> bool {
    headers.get(STATUS_HEADER).is_some_and(|value| value.as_bytes() == b"true")
}

fn answers(
    rpc: Rpc,
    requests: impl Stream<Item = Result<ModelInferRequest, Status>> + Send + 'static,
    context: StreamContext,
    in_status: bool,
) -> Answers {
    let answers = requests.map(move |request| {
        let (rpc, context) = (rpc.clone(), context.clone());
        async move {
            match request {
                Ok(request) => answer(&rpc, request, &context, in_status).await,
                // The transport's or the codec's own: nothing can be read after it.
                Err(status) => Err(status),
            }
        }
    });
    let mut ended = false;
    let answers = answers.buffer_unordered(MAX_IN_FLIGHT).take_while(move |answer| {
        let go_on = !ended;
        ended = answer.is_err();
        future::ready(go_on)
    });
    Box::pin(answers)
}

async fn answer(
    rpc: &Rpc,
    mut request: ModelInferRequest,
    context: &StreamContext,
    in_status: bool,
) -> Result<ModelStreamInferResponse, Status> {
    let id = request.id.clone();
    let wants_final = request.parameters.remove(WANTS_FINAL).is_some_and(is_true);
    match within_deadline(rpc, request, context).await {
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

/// The server's deadline layer watches a stream only until it begins.
async fn within_deadline(
    rpc: &Rpc,
    request: ModelInferRequest,
    context: &StreamContext,
) -> Result<ModelInferResponse, Status> {
    let context = context.of_request();
    let deadline = context.deadline;
    let work = model_infer::model_infer(rpc, "ModelStreamInfer", request, &context);
    match deadline {
        None => work.await,
        Some(deadline) => {
            let left = deadline.saturating_duration_since(Instant::now());
            let done = deadline::within(left, tokio::time::timeout(left, work)).await;
            done.unwrap_or_else(|_| {
                Err(Failure::new(ErrorReason::DeadlineExceeded, "the request's deadline passed").into())
            })
        }
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
