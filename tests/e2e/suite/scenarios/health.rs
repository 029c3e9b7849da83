//! What operators and orchestrators look at.

use ailayer_client::ErrorReason;
use anyhow::{Context as _, ensure};
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::stage::services::Service;
use crate::stage::{Stage, http};

const MODEL_SERVING_README: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../services/model-serving/README.md"));

const fn rpc_services(service: Service) -> &'static [&'static str] {
    match service {
        Service::Indexer => &["ailayer.indexer.v1.IndexerService"],
        Service::Audit => &["ailayer.audit.v1.AuditService"],
        Service::ModelServing => &["ailayer.serving.v1.ServingService", "inference.GRPCInferenceService"],
        Service::Payment => &["ailayer.payment.v1.PaymentService"],
        Service::Gateway => &[
            "ailayer.gateway.v1.AccountService",
            "ailayer.gateway.v1.AdminService",
            "ailayer.gateway.v1.GatewayService",
        ],
    }
}

/// Admin pages, gRPC health by name, reflection.
pub async fn every_service_answers_on_every_port(stage: &Stage) -> anyhow::Result<()> {
    for service in Service::ALL {
        let addresses = stage.process_of(service).addresses();
        for (path, word) in [("/livez", "live"), ("/readyz", "ready"), ("/metrics", "# TYPE")] {
            let (status, body) = http::get(addresses.admin, path).await?;
            ensure!(status == 200, "{}{path}: status {status}: {body}", service.name());
            ensure!(body.contains(word), "{}{path} has no {word:?}: {body}", service.name());
        }
        let (status, _) = http::get(addresses.admin, "/nothing").await?;
        ensure!(status == 404, "{}/nothing: status {status}", service.name());
        rpc_ports(service, &addresses.grpc_url()).await.with_context(|| service.name())?;
    }
    Ok(())
}

async fn rpc_ports(service: Service, url: &str) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(url.to_owned())?.connect().await?;
    let mut health = HealthClient::new(channel.clone());
    for name in [""].iter().chain(rpc_services(service)) {
        let answer = health.check(HealthCheckRequest { service: (*name).to_owned() }).await?;
        ensure!(answer.into_inner().status() == ServingStatus::Serving, "{name:?} is not serving");
    }
    let unknown = health.check(HealthCheckRequest { service: "ailayer.none.v1".to_owned() }).await;
    ensure!(
        unknown.is_err_and(|status| status.code() == Code::NotFound),
        "health of a service that is not here"
    );

    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
    let answer = answers.next().await.context("reflection does not answer")??.message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else {
        anyhow::bail!("reflection answers {answer:?}")
    };
    for name in rpc_services(service) {
        ensure!(list.service.iter().any(|it| it.name == *name), "reflection does not name {name}");
    }
    Ok(())
}

/// Dashboards ask for the names that the README lists; also for Triton's.
pub async fn model_serving_shows_every_metric_of_its_readme(stage: &Stage) -> anyhow::Result<()> {
    let deal = stage.buy().await?;
    stage.expect_settled(&deal).await?;
    let (_, page) = http::get(stage.process_of(Service::ModelServing).addresses().admin, "/metrics").await?;
    let names = metrics_of(MODEL_SERVING_README);
    ensure!(names.len() >= 14, "the table of the README was not understood: {names:?}");
    let triton = ["nv_inference_request_success", "nv_inference_count", "nv_inference_exec_count"];
    for name in names.iter().map(|name| name.replace('.', "_")).chain(triton.map(str::to_owned)) {
        let series = page.lines().find(|line| line.starts_with(&name) && line.contains("model=\""));
        ensure!(series.is_some(), "no series of {name} on the page:\n{page}");
    }
    Ok(())
}

/// The names in the first column of a table of metrics; `.rows` stands for its forerunner's name with another last word.
fn metrics_of(readme: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for line in readme.lines().filter(|line| line.starts_with("| `ailayer.")) {
        let column = line.split('|').nth(1).unwrap_or_default();
        for name in column.split('`').skip(1).step_by(2) {
            let before = names.last().and_then(|last| last.rsplit_once('.'));
            let name = match (name.strip_prefix('.'), before) {
                (Some(word), Some((prefix, _))) => format!("{prefix}.{word}"),
                _ => name.to_owned(),
            };
            names.push(name);
        }
    }
    names
}

/// A gateway whose model server is gone says so with a reason and a time to come back, and stays up.
pub async fn a_missing_dependency_is_named(stage: &Stage) -> anyhow::Result<()> {
    stage.kill(Service::ModelServing).await?;
    let refused =
        stage.gateway.create_quote(&stage.order(&["nobody counts"])).await.err().context("a quote")?;
    ensure!(refused.reason() == Some(ErrorReason::DependencyUnavailable), "unexpected: {refused}");
    ensure!(refused.retry_after().is_some(), "it does not say when to come back");
    stage.restart(Service::ModelServing).await?;
    let deal = stage.buy().await?;
    stage.expect_settled(&deal).await.map(drop)
}
