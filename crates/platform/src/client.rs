//! The one gRPC client stack: lazy connection, explicit limits, trace context, deadlines.
//!
//! A call made while a request is served inherits what is left of that request's deadline, so that
//! nobody works for a caller who has gone.

use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::server::deadline;
use crate::telemetry;

/// A channel that can be cloned freely; it connects at the first call and reconnects by itself.
pub type GrpcChannel = InterceptedService<Channel, Outgoing>;

/// How to reach a service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// `http://host:port`.
    pub endpoint: String,
    /// The deadline of a unary call that inherits none.
    #[serde(default = "default_timeout", with = "crate::config::duration")]
    pub timeout: Duration,
    /// How long a connection may take to come up.
    #[serde(default = "default_connect_timeout", with = "crate::config::duration")]
    pub connect_timeout: Duration,
}

const fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

const fn default_connect_timeout() -> Duration {
    Duration::from_secs(2)
}

impl ClientConfig {
    /// Default limits for an endpoint.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            timeout: default_timeout(),
            connect_timeout: default_connect_timeout(),
        }
    }
}

/// An endpoint nobody can connect to.
#[derive(Debug, Error)]
#[error("endpoint {endpoint:?} is not of the form http://host:port")]
pub struct ClientError {
    endpoint: String,
}

/// A channel for unary calls.
pub fn channel(config: &ClientConfig) -> Result<GrpcChannel, ClientError> {
    let outgoing = Outgoing { default_timeout: Some(config.timeout) };
    Ok(InterceptedService::new(connect_lazily(config)?, outgoing))
}

/// A channel for streams that have no end and therefore no deadline.
pub fn stream_channel(config: &ClientConfig) -> Result<GrpcChannel, ClientError> {
    Ok(InterceptedService::new(connect_lazily(config)?, Outgoing { default_timeout: None }))
}

fn connect_lazily(config: &ClientConfig) -> Result<Channel, ClientError> {
    let invalid = || ClientError { endpoint: config.endpoint.clone() };
    let endpoint = Endpoint::from_shared(config.endpoint.clone()).map_err(|_| invalid())?;
    if endpoint.uri().scheme_str().is_none() || endpoint.uri().host().is_none() {
        return Err(invalid());
    }
    Ok(endpoint
        .connect_timeout(config.connect_timeout)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(false)
        .connect_lazy())
}

/// Adds deadline and trace context to outgoing calls.
#[derive(Debug, Clone)]
pub struct Outgoing {
    default_timeout: Option<Duration>,
}

impl Interceptor for Outgoing {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        telemetry::inject_current(request.metadata_mut());
        if request.metadata().get("grpc-timeout").is_none() {
            let timeout = match (self.default_timeout, deadline::remaining()) {
                (Some(default), Some(remaining)) => Some(default.min(remaining)),
                (Some(default), None) => Some(default),
                (None, _) => None,
            };
            if let Some(timeout) = timeout {
                request.set_timeout(timeout);
            }
        }
        Ok(request)
    }
}

/// True if the same call may succeed a little later: the service or the way to it was at fault.
pub fn is_transient(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Aborted
            // What tonic's own client reports when its timer ran out or the connection broke.
            | Code::Cancelled
            | Code::Unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn endpoints_are_checked_before_use() {
        assert!(channel(&ClientConfig::new("127.0.0.1:1")).is_err());
        assert!(channel(&ClientConfig::new("not a uri")).is_err());
        assert!(channel(&ClientConfig::new("http://127.0.0.1:1")).is_ok());
    }
}
