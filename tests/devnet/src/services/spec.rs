//! Describing a service before it runs.

use std::{fs, path::PathBuf, time::Duration};

use super::{AilayerBinary, ServiceAddresses, ServiceProcess};
use crate::{
    data_dir::DataDir,
    error::DevnetError,
    ports::{FreePort, free_port},
    process::{Process, ProcessSpec},
};

/// Opening a Lightning node or warming a model up on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(90);

/// A service to be started. Its ports are reserved from the beginning, so that one configuration file
/// can name the addresses of services that do not run yet.
#[derive(Debug)]
pub struct ServiceSpec {
    name: String,
    grpc: FreePort,
    admin: FreePort,
    config_file: Option<PathBuf>,
    env: Vec<(String, String)>,
    crash_point: Option<String>,
    pub(super) ready_timeout: Duration,
}

impl ServiceSpec {
    /// A service by the name that `ailayer serve` knows.
    ///
    /// # Errors
    /// `Io` when there is no free port.
    pub fn new(name: impl Into<String>) -> Result<Self, DevnetError> {
        Ok(Self {
            name: name.into(),
            grpc: free_port()?,
            admin: free_port()?,
            config_file: None,
            env: Vec::new(),
            crash_point: None,
            ready_timeout: READY_TIMEOUT,
        })
    }

    /// The service's name, as in `ailayer serve NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it will listen.
    pub const fn addresses(&self) -> ServiceAddresses {
        ServiceAddresses { grpc: self.grpc.address(), admin: self.admin.address() }
    }

    /// Uses an existing configuration file.
    #[must_use]
    pub fn config_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.config_file = Some(path.into());
        self
    }

    /// Writes `toml` to `NAME.toml` in `data_dir` and uses that. It may hold other services' tables.
    ///
    /// # Errors
    /// `Io` when it cannot be written.
    pub fn config_toml(self, data_dir: &DataDir, toml: &str) -> Result<Self, DevnetError> {
        let path = data_dir.path().join(format!("{}.toml", self.name));
        fs::write(&path, toml).map_err(DevnetError::io(format!("writing {}", path.display())))?;
        Ok(self.config_file(path))
    }

    /// Sets an environment variable for every start.
    #[must_use]
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Makes the first start, and only that, kill itself at a crash point.
    #[must_use]
    pub fn crash_point(mut self, crash_point: impl Into<String>) -> Self {
        self.crash_point = Some(crash_point.into());
        self
    }

    /// How long it may take to become ready; 90 s by default.
    #[must_use]
    pub const fn ready_timeout(mut self, timeout: Duration) -> Self {
        self.ready_timeout = timeout;
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// `Exited` or `NotReady` with its last log lines.
    pub async fn start(
        self,
        binary: &AilayerBinary,
        data_dir: &DataDir,
    ) -> Result<ServiceProcess, DevnetError> {
        let service = self.launch(binary, data_dir)?;
        service.wait_until_ready().await?;
        Ok(service)
    }

    /// Starts it and does not wait: for one that is expected to refuse its configuration, say.
    ///
    /// # Errors
    /// `Io` when it cannot be started.
    pub fn launch(self, binary: &AilayerBinary, data_dir: &DataDir) -> Result<ServiceProcess, DevnetError> {
        let address_file = data_dir.path().join(format!("{}.addresses.json", self.name));
        let mut process = ProcessSpec::new(&self.name, binary.path(), data_dir.log_file(&self.name))
            .args(["serve", &self.name])
            .env("AILAYER_ADDRESS_FILE", &address_file)
            .env(self.variable("PLATFORM__SERVER__LISTEN"), self.grpc.address().to_string())
            .env(self.variable("PLATFORM__ADMIN_LISTEN"), self.admin.address().to_string());
        if let Some(file) = &self.config_file {
            process = process.arg("--config").arg(file);
        }
        process.env.extend(self.env.iter().map(|(key, value)| (key.into(), value.into())));
        let crash_point = self.crash_point.clone();
        let service = ServiceProcess { process: Process::new(process), spec: self, address_file };
        service.launch(crash_point.as_deref())?;
        Ok(service)
    }

    /// Name of the environment variable that overrides a key of this service's table.
    fn variable(&self, key: &str) -> String {
        format!("AILAYER_{}__{key}", self.name.to_uppercase().replace('-', "_"))
    }
}
