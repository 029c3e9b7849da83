//! The platform's own services as processes: `ailayer serve NAME --config FILE`.

mod binary;
mod spec;

use std::{fs, net::SocketAddr, path::PathBuf, process::ExitStatus, time::Duration};

use serde::Deserialize;

use crate::{error::DevnetError, process::Process};
pub use binary::AilayerBinary;
pub use spec::ServiceSpec;

const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The service kills itself at the point named by this variable (debug builds only).
const CRASH_POINT: &str = "AILAYER_CRASH_POINT";

/// Where a service listens; it writes this file itself once it has bound its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ServiceAddresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// HTTP with `/livez`, `/readyz`, `/metrics`.
    pub admin: SocketAddr,
}

impl ServiceAddresses {
    /// `http://address`, as a client's `endpoint` wants it.
    pub fn grpc_url(&self) -> String {
        format!("http://{}", self.grpc)
    }
}

/// A running service. Ends with the handle; stays at the same addresses over restarts.
#[derive(Debug)]
pub struct ServiceProcess {
    process: Process,
    spec: ServiceSpec,
    address_file: PathBuf,
}

impl ServiceProcess {
    /// The service's name, as in `ailayer serve NAME`.
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// Where it listens.
    pub fn addresses(&self) -> ServiceAddresses {
        self.spec.addresses()
    }

    /// `http://address` of its gRPC port.
    pub fn grpc_url(&self) -> String {
        self.addresses().grpc_url()
    }

    /// Path of its log.
    pub fn log_file(&self) -> PathBuf {
        self.process.spec().log_file.clone()
    }

    /// The process, to signal or watch it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Asks it to shut down gracefully and waits.
    ///
    /// # Errors
    /// `Io` when its end cannot be observed.
    pub async fn stop(&self) -> Result<(), DevnetError> {
        self.process.stop().await
    }

    /// Kills it as a crash would.
    ///
    /// # Errors
    /// `Io` when its end cannot be observed.
    pub async fn kill9(&self) -> Result<(), DevnetError> {
        self.process.kill9().await
    }

    /// Waits for its end, at a crash point say.
    ///
    /// # Errors
    /// `TimedOut` when it still runs after `timeout`.
    pub async fn wait_for_exit(&self, timeout: Duration) -> Result<ExitStatus, DevnetError> {
        self.process.wait_for_exit(timeout).await
    }

    /// Stops it if need be, starts it with the same configuration and addresses and without a crash point, and
    /// waits until it is ready.
    ///
    /// # Errors
    /// `Exited` or `NotReady` with its last log lines.
    pub async fn restart(&self) -> Result<(), DevnetError> {
        self.process.stop().await?;
        self.launch(None)?;
        self.wait_until_ready().await
    }

    /// The same, to kill itself at `crash_point` later.
    ///
    /// # Errors
    /// `Exited` or `NotReady` with its last log lines.
    pub async fn restart_with_crash_point(&self, crash_point: &str) -> Result<(), DevnetError> {
        self.process.stop().await?;
        self.launch(Some(crash_point))?;
        self.wait_until_ready().await
    }

    /// Starts it, if it does not run, and does not wait: for a service that crashes before it is ready.
    ///
    /// # Errors
    /// `Io` when it cannot be started.
    pub fn launch(&self, crash_point: Option<&str>) -> Result<(), DevnetError> {
        if !self.process.is_running() {
            // What an earlier run wrote says nothing about this one.
            fs::remove_file(&self.address_file).ok();
        }
        let crash_point = crash_point.map(|point| (CRASH_POINT.into(), point.into()));
        self.process.start_with_env(crash_point.as_slice())
    }

    /// Waits until its `/readyz` says yes.
    ///
    /// # Errors
    /// `Exited` or `NotReady` with its last log lines.
    pub async fn wait_until_ready(&self) -> Result<(), DevnetError> {
        self.process.wait_until_ready(self.spec.ready_timeout, || self.probe()).await
    }

    async fn probe(&self) -> Result<(), String> {
        let text = fs::read(&self.address_file).map_err(|_| "it has not bound its ports yet".to_owned())?;
        let bound: ServiceAddresses = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        if bound != self.addresses() {
            return Err(format!("it listens at {bound:?} instead of {:?}", self.addresses()));
        }
        let url = format!("http://{}/readyz", bound.admin);
        let answer =
            tokio::task::spawn_blocking(move || get(&url)).await.map_err(|error| error.to_string())?;
        let (status, body) = answer.map_err(|error| error.to_string())?;
        if status == 200 { Ok(()) } else { Err(format!("/readyz answered {status}: {}", body.trim())) }
    }
}

fn get(url: &str) -> Result<(u16, String), ureq::Error> {
    let config = ureq::Agent::config_builder().timeout_global(Some(PROBE_TIMEOUT)).proxy(None);
    let agent: ureq::Agent = config.http_status_as_error(false).build().into();
    let mut response = agent.get(url).call()?;
    Ok((response.status().as_u16(), response.body_mut().read_to_string()?))
}
