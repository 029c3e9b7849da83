//! The admin port: live, ready, metrics; and gRPC health fed from the same readiness.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::health::Health;
use crate::tasks::Shutdown;
use crate::telemetry;

/// Everything the pages need.
#[derive(Clone)]
struct Pages {
    health: Health,
    shutdown: Shutdown,
}

/// Serves the pages until the shutdown. While draining the process is live but not ready.
pub async fn serve(listener: TcpListener, health: Health, shutdown: Shutdown) -> std::io::Result<()> {
    let pages = Router::new()
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Pages { health, shutdown: shutdown.clone() });
    axum::serve(listener, pages).with_graceful_shutdown(async move { shutdown.cancelled().await }).await
}

async fn ready(State(pages): State<Pages>) -> Response {
    if pages.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    let unready = pages.health.unready();
    if unready.is_empty() {
        return (StatusCode::OK, "ready\n").into_response();
    }
    let lines: String = unready.iter().map(|(name, reason)| format!("{name}: {reason}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
}

async fn metrics() -> Response {
    match telemetry::render_metrics() {
        Ok(page) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], page).into_response(),
        Err(reason) => (StatusCode::INTERNAL_SERVER_ERROR, reason).into_response(),
    }
}

/// Keeps `grpc.health.v1` in step with the readiness, for the whole server and for each name.
pub async fn report_health(
    reporter: HealthReporter,
    names: Vec<&'static str>,
    health: Health,
    shutdown: Shutdown,
) {
    let mut changes = health.subscribe();
    loop {
        let ready = health.is_ready() && !shutdown.is_cancelled();
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in names.iter().copied().chain([""]) {
            reporter.set_service_status(name, status).await;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = shutdown.cancelled() => {
                for name in names.iter().copied().chain([""]) {
                    reporter.set_service_status(name, ServingStatus::NotServing).await;
                }
                return;
            }
        }
    }
}

/// Keeps `grpc.health.v1` in step with the names that the process tells of, such as its models.
pub async fn report_names(mut reporter: HealthReporter, health: Health, shutdown: Shutdown) {
    let mut changes = health.subscribe_names();
    let mut told: BTreeMap<String, bool> = BTreeMap::new();
    loop {
        let draining = shutdown.is_cancelled();
        let names = changes.borrow_and_update().clone();
        for name in told.keys().filter(|name| !names.contains_key(name.as_str())) {
            reporter.clear_service_status(name).await;
        }
        for (name, serving) in &names {
            let status =
                if *serving && !draining { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status(name, status).await;
        }
        told = names;
        if draining {
            return;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            () = shutdown.cancelled() => {}
        }
    }
}
