//! The one gRPC server stack and the admin port.
//!
//! Outermost first: HTTP/2 limits, trace and metrics, in-flight limit with load shed, deadline,
//! panic to INTERNAL, then the service. The admin port answers `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::time::Duration;

use ailayer_proto::FILE_DESCRIPTOR_SET;
use thiserror::Error;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;

use crate::config::PlatformConfig;
use crate::health::Health;
use crate::tasks::{Shutdown, Tasks};

mod addresses;
mod admin;
pub mod deadline;
mod in_flight;
mod message_limit;
mod panic;
mod status_body;
mod trace;

pub use message_limit::codec_refusal;

/// How much of one stream's messages may arrive before they are read: hyper's own default, written down.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The same of all streams of a connection. Several times as much: were it the same, as by default, one stream whose
/// messages are not taken would hold up every other call of the connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Why a server could not start or run.
#[derive(Debug, Error)]
pub enum ServerError {
    /// The address is taken, or not ours.
    #[error("{key} = {address}: {source}")]
    Bind {
        /// The configuration key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file named by `AILAYER_ADDRESS_FILE` could not be written.
    #[error("writing the address file: {0}")]
    AddressFile(std::io::Error),
    /// The reflection service could not be built.
    #[error("reflection: {0}")]
    Reflection(String),
    /// Serving failed.
    #[error("serving: {0}")]
    Serve(String),
}

/// A server that holds its ports but does not answer yet.
#[derive(Debug)]
pub struct Server {
    service: &'static str,
    config: PlatformConfig,
    health: Health,
    grpc: TcpListener,
    grpc_address: SocketAddr,
    admin: TcpListener,
    admin_address: SocketAddr,
}

impl Server {
    /// Takes both ports and starts to answer nothing yet.
    ///
    /// If `AILAYER_ADDRESS_FILE` is set, the addresses are written there as JSON, so that whoever
    /// started the process with port 0 learns them.
    pub async fn bind(
        service: &'static str,
        config: &PlatformConfig,
        health: Health,
    ) -> Result<Self, ServerError> {
        let (grpc, grpc_address) = listen("platform.server.listen", config.server.listen).await?;
        let (admin, admin_address) = listen("platform.admin_listen", config.admin_listen).await?;
        addresses::publish(grpc_address, admin_address).map_err(ServerError::AddressFile)?;
        Ok(Self { service, config: config.clone(), health, grpc, grpc_address, admin, admin_address })
    }

    /// Where gRPC answers.
    pub const fn grpc_address(&self) -> SocketAddr {
        self.grpc_address
    }

    /// Where the admin pages answer.
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until the tasks' shutdown. `grpc_service_names` are the names health is reported for.
    pub fn spawn(self, tasks: &Tasks, grpc_service_names: &[&'static str], routes: Routes) {
        let shutdown = tasks.shutdown_token();
        tracing::info!(
            service = self.service, grpc = %self.grpc_address, admin = %self.admin_address, "listening"
        );
        let admin = admin::serve(self.admin, self.health.clone(), shutdown.clone());
        tasks.spawn_critical("admin_server", admin);

        let (reporter, health_service) = tonic_health::server::health_reporter();
        let names = grpc_service_names.to_vec();
        let told_names = admin::report_names(reporter.clone(), self.health.clone(), shutdown.clone());
        tasks.spawn("report_names", told_names);
        tasks.spawn("report_health", admin::report_health(reporter, names, self.health, shutdown.clone()));

        let routes = routes.add_service(health_service);
        // Streams have no end of their own: they get most of the grace period, then are cut.
        let patience = tasks.grace_period().mul_f32(0.8);
        tasks.spawn_critical("grpc_server", serve(self.grpc, self.config, routes, shutdown, patience));
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::Bind { key, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn serve(
    listener: TcpListener,
    config: PlatformConfig,
    mut routes: Routes,
    shutdown: Shutdown,
    patience: Duration,
) -> Result<(), ServerError> {
    let limits = &config.server;
    if limits.reflection {
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .map_err(|error| ServerError::Reflection(error.to_string()))?;
        routes = routes.add_service(reflection);
    }
    let layers = tower::ServiceBuilder::new()
        .layer(trace::TraceLayer::new())
        .layer(in_flight::InFlightLayer::new(limits.max_concurrent_requests))
        .layer(deadline::DeadlineLayer::new(limits.request_timeout))
        .layer(panic::CatchPanicLayer)
        .layer(message_limit::MessageLimitLayer)
        .into_inner();
    let server = tonic::transport::Server::builder()
        .max_concurrent_streams(limits.max_concurrent_streams)
        .http2_max_local_error_reset_streams(Some(limits.max_local_error_resets))
        .http2_max_pending_accept_reset_streams(Some(limits.max_pending_resets))
        .http2_max_header_list_size(limits.max_header_list_bytes)
        .initial_stream_window_size(Some(STREAM_WINDOW_BYTES))
        .initial_connection_window_size(Some(CONNECTION_WINDOW_BYTES))
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        .layer(layers)
        .add_routes(routes);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let stop = shutdown.clone();
    let serving = server.serve_with_incoming_shutdown(incoming, async move { stop.cancelled().await });
    tokio::select! {
        outcome = serving => outcome.map_err(|error| ServerError::Serve(error.to_string())),
        () = async { shutdown.cancelled().await; tokio::time::sleep(patience).await } => {
            tracing::info!("open streams cut at the end of the grace period");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
