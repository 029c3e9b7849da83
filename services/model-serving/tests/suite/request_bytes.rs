//! Requests that are too large, packed, broken, or too many at once.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ailayer_platform::error::{ErrorReason, retry_after};
use ailayer_proto::inference::ModelInferRequest;
use ailayer_proto::inference::model_infer_request::InferInputTensor;
use bytes::Bytes;
use http_body::{Body, Frame};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::support::{Repository, Running, floats, infer, input, refused};
use tonic::codec::CompressionEncoding::{Deflate, Gzip};
use tower::{Service as _, ServiceExt as _};

const MEBIBYTE: usize = 1 << 20;

/// A service that takes messages up to a mebibyte, and eight mebibytes at once.
async fn small() -> (Running, Repository) {
    let repository = Repository::new();
    repository.add("add", "add", "1");
    let mut config = repository.config();
    config.max_inference_message_bytes = MEBIBYTE;
    config.max_request_bytes_in_flight = 8 * MEBIBYTE;
    let mut service = Running::start(config).await;
    service.until_ready().await;
    (service, repository)
}

/// `a + b` with so many rows; all zero, so that it packs well.
fn zeros(rows: usize) -> ModelInferRequest {
    let tensor = |name| input(name, "FP32", &[rows.try_into().unwrap(), 2], floats(&[]));
    let mut request = infer("add", vec![tensor("a"), tensor("b")]);
    request.raw_input_contents = vec![Bytes::from(vec![0; rows * 8]); 2];
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_requests_are_answered_and_bombs_refused() {
    let (service, _repository) = small().await;
    for encoding in [Gzip, Deflate] {
        let mut client = service.inference.clone().send_compressed(encoding);
        let answer = client.model_infer(zeros(50_000)).await.unwrap().into_inner();
        assert_eq!(answer.raw_output_contents[0].len(), 400_000);
        // A few kilobytes on the wire that would become eight mebibytes.
        let bomb = client.model_infer(zeros(524_288)).await;
        refused(bomb, Code::ResourceExhausted, ErrorReason::MessageTooLarge);
    }
    service.stop().await;
}

/// Each empty input takes two bytes on the wire and hundreds once decoded.
#[tokio::test(flavor = "multi_thread")]
async fn many_empty_fields_are_refused_before_they_are_decoded() {
    let (mut service, _repository) = small().await;
    let inputs = vec![InferInputTensor::default(); 100_000];
    refused(
        service.inference.model_infer(infer("add", inputs)).await,
        Code::ResourceExhausted,
        ErrorReason::MessageTooLarge,
    );
    let few = infer("add", vec![InferInputTensor::default(); 60_000]);
    refused(service.inference.model_infer(few).await, Code::InvalidArgument, ErrorReason::InvalidField);
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_its_methods_limit() {
    let (mut service, _repository) = small().await;
    let answer = service.inference.model_infer(zeros(70_000)).await;
    let status = answer.unwrap_err();
    assert_eq!(retry_after(&status), None, "the same message never fits");
    refused::<()>(Err(status), Code::ResourceExhausted, ErrorReason::MessageTooLarge);
    assert!(service.inference.model_infer(zeros(60_000)).await.is_ok());
    service.stop().await;
}

/// The first bytes of a request body, and then nothing more for ever.
struct Begun(Option<Bytes>);

impl Body for Begun {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.take().map_or(Poll::Pending, |first| Poll::Ready(Some(Ok(Frame::data(first)))))
    }
}

/// A body of exactly these bytes.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

async fn send(mut channel: Channel, body: tonic::body::Body) -> Status {
    let request = http::Request::post("http://localhost/inference.GRPCInferenceService/ModelInfer")
        .header("content-type", "application/grpc")
        .header("grpc-encoding", "gzip")
        .body(body)
        .unwrap();
    let answer = channel.ready().await.unwrap().call(request).await.unwrap();
    Status::from_header_map(answer.headers()).unwrap()
}

fn message(flag: u8, length: usize, bytes: &[u8]) -> Bytes {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&[flag][..], &length, bytes].concat().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message() {
    let (mut service, _repository) = small().await;
    for body in [
        // A packed message that is not gzip, a message that is not protobuf, an unknown flag, a length not kept.
        message(1, 3, b"abc"),
        message(0, 3, b"\xff\xff\xff"),
        message(9, 3, b"abc"),
        message(0, 9, b"abc"),
        // A model's name that is no UTF-8: bytes that never are, half of a surrogate pair.
        message(0, 4, b"\x0a\x02\xff\xfe"),
        message(0, 5, b"\x0a\x03\xed\xa0\x80"),
    ] {
        let status = send(service.channel.clone(), tonic::body::Body::new(Whole(Some(body)))).await;
        refused::<()>(Err(status), Code::InvalidArgument, ErrorReason::InvalidField);
    }
    assert!(service.inference.model_infer(zeros(1)).await.is_ok());
    service.stop().await;
}

/// A caller that announces a message takes its room, and gives it back by leaving.
#[tokio::test(flavor = "multi_thread")]
async fn all_requests_share_one_budget() {
    let (mut service, _repository) = small().await;
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..9 {
        let begun = Begun(Some(message(0, MEBIBYTE, b"")));
        waiting.spawn(send(service.channel.clone(), tonic::body::Body::new(begun)));
    }
    // There is room for eight of the nine, and then for nobody.
    let ninth = waiting.join_next().await.unwrap().unwrap();
    for status in [ninth, service.inference.model_infer(zeros(60_000)).await.unwrap_err()] {
        assert!(retry_after(&status).is_some());
        refused::<()>(Err(status), Code::ResourceExhausted, ErrorReason::Overloaded);
    }
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    for _ in 0..500 {
        if service.inference.model_infer(zeros(60_000)).await.is_ok() {
            return service.stop().await;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the room did not come back");
}
