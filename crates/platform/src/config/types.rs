//! The part of the configuration that every service has: the table `platform`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

/// `platform`: server, admin port, telemetry, grace period.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlatformConfig {
    /// The gRPC server.
    pub server: ServerConfig,
    /// Where `/livez`, `/readyz` and `/metrics` answer. Port 0 takes a free one.
    pub admin_listen: SocketAddr,
    /// Traces, metrics and logs.
    pub telemetry: TelemetryConfig,
    /// How long running work may take to finish after a stop was asked for.
    #[serde(with = "super::duration")]
    pub grace_period: Duration,
}

impl Default for PlatformConfig {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            admin_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            telemetry: TelemetryConfig::default(),
            grace_period: Duration::from_secs(10),
        }
    }
}

impl PlatformConfig {
    /// Refuses values that would start a server nobody can use.
    pub fn validate(&self, service: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{service}.platform.{name}");
        if self.server.max_concurrent_requests == 0 {
            return Err(ConfigError::invalid(key("server.max_concurrent_requests"), "must be at least 1"));
        }
        if self.server.max_message_bytes < 1024 {
            return Err(ConfigError::invalid(key("server.max_message_bytes"), "must be at least 1024"));
        }
        if self.server.request_timeout.is_zero() {
            return Err(ConfigError::invalid(key("server.request_timeout"), "must be longer than zero"));
        }
        if !(0.0..=1.0).contains(&self.telemetry.sample_ratio) {
            return Err(ConfigError::invalid(key("telemetry.sample_ratio"), "must lie between 0 and 1"));
        }
        Ok(())
    }
}

/// `platform.server`: the gRPC server and its limits.
///
/// The HTTP/2 limits are set explicitly: tonic hands hyper `None` for some of them, which lifts
/// hyper's own defaults and with them the guard against reset floods (RUSTSEC-2024-0003).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Where gRPC answers. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The most calls in work at once, over all connections; more are shed with RESOURCE_EXHAUSTED.
    pub max_concurrent_requests: usize,
    /// The longest a unary call may take, whatever the caller's deadline.
    #[serde(with = "super::duration")]
    pub request_timeout: Duration,
    /// The largest message taken or sent, bytes.
    pub max_message_bytes: usize,
    /// HTTP/2: streams a connection may have open.
    pub max_concurrent_streams: u32,
    /// HTTP/2: streams reset by us before a connection is closed as abusive.
    pub max_local_error_resets: usize,
    /// HTTP/2: reset streams waiting to be accepted before a connection is closed.
    pub max_pending_resets: usize,
    /// HTTP/2: bytes of headers a call may carry.
    pub max_header_list_bytes: u32,
    /// HTTP/2: time between pings on a quiet connection.
    #[serde(with = "super::duration")]
    pub keepalive_interval: Duration,
    /// HTTP/2: how long a ping may stay unanswered.
    #[serde(with = "super::duration")]
    pub keepalive_timeout: Duration,
    /// Whether gRPC reflection answers. Off on public ports.
    pub reflection: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_concurrent_requests: 512,
            request_timeout: Duration::from_secs(30),
            max_message_bytes: 4 * 1024 * 1024,
            max_concurrent_streams: 128,
            max_local_error_resets: 256,
            max_pending_resets: 20,
            max_header_list_bytes: 16 * 1024,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            reflection: true,
        }
    }
}

/// `platform.telemetry`: where traces, metrics and logs go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// An OTLP gRPC collector, e.g. `http://127.0.0.1:4317`; none exports nothing.
    pub otlp_endpoint: Option<String>,
    /// The share of new traces that is recorded, 0 to 1; a caller's decision is kept.
    pub sample_ratio: f64,
    /// The log filter, in `tracing` syntax.
    pub log_filter: String,
    /// True for one JSON object a line, false for text.
    pub log_json: bool,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 1.0, log_filter: "info".to_owned(), log_json: false }
    }
}
