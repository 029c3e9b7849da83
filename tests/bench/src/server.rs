//! Processes that are measured or help with it: started, pinned, ended.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ailayer_proto::inference::ServerReadyRequest;
use ailayer_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tonic::transport::Channel;

/// Connections to a server: HTTP/2 bounds the calls on each.
const CONNECTIONS: usize = 8;
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A child process that answers gRPC; killed when dropped.
pub struct Server {
    child: Child,
    /// Connections to it.
    pub channels: Vec<Channel>,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its metrics page is; none for the null server.
    pub admin: Option<SocketAddr>,
    /// Its process.
    pub process: u32,
}

/// How to start one.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program with its first arguments.
    pub command: Vec<String>,
    /// The core it is kept on.
    pub core: Option<usize>,
    /// Where its log goes.
    pub log: PathBuf,
}

#[derive(Deserialize)]
struct Addresses {
    grpc: SocketAddr,
    admin: SocketAddr,
}

impl Launch {
    fn command(&self) -> anyhow::Result<Command> {
        let pinned = self.core.map(|core| vec!["taskset".to_owned(), "-c".to_owned(), core.to_string()]);
        let words = pinned.into_iter().flatten().chain(self.command.iter().cloned());
        let words: Vec<String> = words.collect();
        let (program, arguments) = words.split_first().context("no program")?;
        let log = std::fs::File::create(&self.log).with_context(|| self.log.display().to_string())?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stderr(log).kill_on_drop(true);
        Ok(command)
    }

    /// Starts `… --config FILE` and waits until every model is loaded.
    ///
    /// # Errors
    /// When it does not start or does not become ready.
    pub async fn serving(&self, config: &Path) -> anyhow::Result<Server> {
        let file = config.with_extension("address");
        drop(std::fs::remove_file(&file));
        let mut command = self.command()?;
        command.arg("--config").arg(config).env("AILAYER_ADDRESS_FILE", &file).stdout(Stdio::null());
        let mut child = command.spawn().with_context(|| self.command.join(" "))?;
        let limit = Instant::now() + START_LIMIT;
        let addresses: Addresses = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break serde_json::from_str(&text)?;
            }
            self.still_runs(&mut child, limit)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let channels = connect(addresses.grpc).await?;
        let mut client = GrpcInferenceServiceClient::new(channels.first().context("no connection")?.clone());
        while !client.server_ready(ServerReadyRequest {}).await?.into_inner().ready {
            self.still_runs(&mut child, limit)?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let process = child.id().context("the server ended")?;
        Ok(Server { child, channels, address: addresses.grpc, admin: Some(addresses.admin), process })
    }

    /// Starts a program that says as its first line where it listens: the null server, say.
    ///
    /// # Errors
    /// When it does not start or does not say so.
    pub async fn announcing(&self) -> anyhow::Result<Server> {
        let mut command = self.command()?;
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| self.command.join(" "))?;
        let mut line = String::new();
        let out = child.stdout.take().context("no output")?;
        BufReader::new(out).read_line(&mut line).await?;
        let address = line.trim().parse().context("the program names no address")?;
        let channels = connect(address).await?;
        let process = child.id().context("the program ended")?;
        Ok(Server { child, channels, address, admin: None, process })
    }

    fn still_runs(&self, child: &mut Child, limit: Instant) -> anyhow::Result<()> {
        if let Some(status) = child.try_wait()? {
            bail!("the server ended ({status}), see {}", self.log.display());
        }
        anyhow::ensure!(Instant::now() < limit, "the server is not ready, see {}", self.log.display());
        Ok(())
    }
}

/// As many connections as a client in production holds.
///
/// # Errors
/// When nobody listens there.
pub async fn connect(address: SocketAddr) -> anyhow::Result<Vec<Channel>> {
    let endpoint = Channel::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
    futures::future::try_join_all((0..CONNECTIONS).map(|_| endpoint.connect()))
        .await
        .with_context(|| format!("cannot connect to {address}"))
}

impl Server {
    /// Asks it to end and waits; kills it when it does not.
    ///
    /// # Errors
    /// When its end cannot be observed.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let id = i32::try_from(self.process)?;
        if let Some(id) = rustix::process::Pid::from_raw(id) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(status) => drop(status?),
            Err(_) => self.child.kill().await?,
        }
        Ok(())
    }
}

/// This program's file, to be started again in another role.
///
/// # Errors
/// When the system does not tell.
pub fn itself() -> anyhow::Result<String> {
    Ok(std::env::current_exe()?.display().to_string())
}
