//! The whole stack over a real socket: a service that answers, panics or dawdles on demand.

use std::time::Duration;

use ailayer_proto::ailayer::serving::v1::serving_service_client::ServingServiceClient;
use ailayer_proto::ailayer::serving::v1::serving_service_server::{ServingService, ServingServiceServer};
use ailayer_proto::ailayer::serving::v1::{
    EmbedRequest, EmbedResponse, EmbedStreamRequest, EmbedStreamResponse, ListModelsRequest,
    ListModelsResponse, TokenizeRequest, TokenizeResponse, TokenizeStreamRequest, TokenizeStreamResponse,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::codegen::BoxStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::*;
use crate::client::{ClientConfig, GrpcChannel, channel};
use crate::error::{ErrorReason, reason_of, retry_after};
use crate::health::Component;

const SERVICE: &str = "ailayer.serving.v1.ServingService";

struct Moody;

#[tonic::async_trait]
impl ServingService for Moody {
    type TokenizeStreamStream = BoxStream<TokenizeStreamResponse>;
    type EmbedStreamStream = BoxStream<EmbedStreamResponse>;

    async fn list_models(
        &self,
        _: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        Ok(Response::new(ListModelsResponse { models: Vec::new() }))
    }

    async fn tokenize(&self, _: Request<TokenizeRequest>) -> Result<Response<TokenizeResponse>, Status> {
        panic!("secret detail")
    }

    /// Answers in `queue_time_us` what was left of the deadline, after the time named in the text.
    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        let left = deadline::remaining().map_or(0, |left| u64::try_from(left.as_micros()).unwrap());
        let pause = request.get_ref().texts[0].parse().unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        Ok(Response::new(EmbedResponse { queue_time_us: left, ..Default::default() }))
    }

    async fn tokenize_stream(
        &self,
        _: Request<Streaming<TokenizeStreamRequest>>,
    ) -> Result<Response<Self::TokenizeStreamStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }

    async fn embed_stream(
        &self,
        _: Request<Streaming<EmbedStreamRequest>>,
    ) -> Result<Response<Self::EmbedStreamStream>, Status> {
        Err(Status::unimplemented("not needed here"))
    }
}

struct Running {
    tasks: Tasks,
    channel: GrpcChannel,
    component: Component,
    grpc: SocketAddr,
    admin: SocketAddr,
}

async fn start(change: impl FnOnce(&mut PlatformConfig)) -> Running {
    let mut config = PlatformConfig { grace_period: Duration::from_secs(2), ..Default::default() };
    change(&mut config);
    let health = Health::new();
    let component = health.component("database");
    let tasks = Tasks::new(Shutdown::new(), config.grace_period);
    let server = Server::bind("model-serving", &config, health).await.unwrap();
    let (grpc, admin) = (server.grpc_address(), server.admin_address());
    server.spawn(&tasks, &[SERVICE], Routes::new(ServingServiceServer::new(Moody)));
    let channel = channel(&ClientConfig::new(format!("http://{grpc}"))).unwrap();
    Running { tasks, channel, component, grpc, admin }
}

impl Running {
    fn client(&self) -> ServingServiceClient<GrpcChannel> {
        ServingServiceClient::new(self.channel.clone())
    }

    async fn stop(self) {
        self.tasks.shutdown_token().trigger();
        self.tasks.join().await.unwrap();
    }
}

fn sleeping(ms: u64) -> EmbedRequest {
    EmbedRequest { texts: vec![ms.to_string()], ..Default::default() }
}

async fn get(admin: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(admin).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

#[tokio::test]
async fn a_panic_fails_one_call_and_tells_no_detail() {
    let running = start(|_| ()).await;
    let error = running.client().tokenize(TokenizeRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    assert_eq!(reason_of(&error), Some(ErrorReason::Internal));
    assert!(!format!("{error:?}").contains("secret detail"));
    running.client().list_models(ListModelsRequest {}).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn a_full_server_sheds_with_a_retry_time_and_still_answers_health() {
    let running = start(|config| config.server.max_concurrent_requests = 1).await;
    let mut slow = running.client();
    let first = tokio::spawn(async move { slow.embed(sleeping(500)).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let error = running.client().list_models(ListModelsRequest {}).await.unwrap_err();
    assert_eq!(reason_of(&error), Some(ErrorReason::Overloaded));
    assert!(retry_after(&error).is_some());
    HealthClient::new(running.channel.clone()).check(HealthCheckRequest::default()).await.unwrap();
    first.await.unwrap().unwrap();
    running.client().list_models(ListModelsRequest {}).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn deadlines_are_typed_capped_and_handed_down() {
    let running = start(|config| config.server.request_timeout = Duration::from_millis(200)).await;
    // The server's cap wins over a patient caller.
    let error = running.client().embed(sleeping(5000)).await.unwrap_err();
    assert_eq!(reason_of(&error), Some(ErrorReason::DeadlineExceeded));
    // An impatient caller wins over the cap, and gets the typed answer, not a bare cancellation.
    let mut hurried = Request::new(sleeping(5000));
    hurried.set_timeout(Duration::from_millis(80));
    let error = running.client().embed(hurried).await.unwrap_err();
    assert_eq!(reason_of(&error), Some(ErrorReason::DeadlineExceeded));
    // A handler sees what is left.
    let answer = running.client().embed(sleeping(0)).await.unwrap().into_inner();
    assert!((1..=200_000).contains(&answer.queue_time_us), "{}", answer.queue_time_us);
    // Calls made on behalf of a call inherit its deadline.
    let mut client = running.client();
    let call = deadline::within(Duration::from_millis(60), client.embed(sleeping(5000)));
    assert_eq!(reason_of(&call.await.unwrap_err()), Some(ErrorReason::DeadlineExceeded));
    running.stop().await;
}

#[tokio::test]
async fn readiness_follows_the_components_on_both_ports() {
    let running = start(|_| ()).await;
    let mut health = HealthClient::new(running.channel.clone());
    let request = || HealthCheckRequest { service: SERVICE.to_owned() };
    assert_eq!(get(running.admin, "/livez").await.0, 200);
    let (status, page) = get(running.admin, "/readyz").await;
    assert!(status == 503 && page.contains("database: starting"), "{page}");
    assert_eq!(health.check(request()).await.unwrap().into_inner().status, 2);
    running.component.set_ready();
    assert_eq!(get(running.admin, "/readyz").await.0, 200);
    for _ in 0..100 {
        if health.check(request()).await.unwrap().into_inner().status == 1 {
            running.stop().await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("gRPC health never became SERVING");
}

#[tokio::test]
async fn a_taken_port_is_one_clear_line() {
    let running = start(|_| ()).await;
    let mut config = PlatformConfig::default();
    config.server.listen = running.grpc;
    let error = Server::bind("gateway", &config, Health::new()).await.unwrap_err().to_string();
    assert!(error.starts_with("platform.server.listen = 127.0.0.1:"), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn a_message_over_the_limit_is_a_typed_error() {
    let running = start(|_| ()).await;
    let request = EmbedRequest { texts: vec!["x".repeat(5 * 1024 * 1024)], ..Default::default() };
    let error = running.client().embed(request).await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert_eq!(reason_of(&error), Some(ErrorReason::MessageTooLarge));
    assert_eq!(retry_after(&error), None);
    running.stop().await;
}

#[tokio::test]
async fn a_stop_waits_for_running_calls() {
    let running = start(|_| ()).await;
    let mut client = running.client();
    let call = tokio::spawn(async move { client.embed(sleeping(300)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.stop().await;
    call.await.unwrap().unwrap();
}

#[tokio::test]
async fn reflection_lists_the_services() {
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::{ServerReflectionRequest, server_reflection_response::MessageResponse};
    let running = start(|_| ()).await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(running.channel.clone());
    let mut answers =
        client.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    assert!(list.service.iter().any(|service| service.name == SERVICE));
    running.stop().await;
}
