//! A bitcoind on regtest, without a wallet.

mod chain;
mod faucet;
mod rpc;

use std::{path::PathBuf, time::Duration};

use serde_json::{Value, json};

use crate::{
    data_dir::DataDir,
    error::DevnetError,
    ports::{FreePort, free_port},
    postgres::random_hex,
    process::{Process, ProcessSpec},
    toolbox::{Tool, Toolbox},
};
pub use chain::BlockRef;
pub(crate) use rpc::RpcClient;

const RPC_USER: &str = "ailayer";
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const START_ATTEMPTS: u32 = 3;

/// A running regtest node with a transaction index and a spender index. Ends with the handle.
#[derive(Debug)]
pub struct Bitcoind {
    // Before the folder: fields drop in this order, and the node writes into it until it has ended.
    process: Process,
    rpc: RpcClient,
    rpc_port: FreePort,
    p2p_port: FreePort,
    rpc_password: String,
    faucet_turn: tokio::sync::Mutex<()>,
    data_dir: DataDir,
}

impl Bitcoind {
    /// Starts a node in a temporary folder, at the genesis block.
    ///
    /// # Errors
    /// A missing tool, or a node that does not start.
    pub async fn start() -> Result<Self, DevnetError> {
        Self::start_in(&DataDir::temporary()?, &Toolbox::discover()).await
    }

    /// Starts a node in `data_dir`, continuing with its chain if there is one.
    ///
    /// # Errors
    /// A missing tool, or a node that does not start.
    pub async fn start_in(data_dir: &DataDir, toolbox: &Toolbox) -> Result<Self, DevnetError> {
        Self::start_named("bitcoind", data_dir, toolbox).await
    }

    /// Starts one of several nodes in the same `data_dir`; `name` tells their folders and logs apart.
    ///
    /// # Errors
    /// A missing tool, or a node that does not start.
    pub async fn start_named(name: &str, data_dir: &DataDir, toolbox: &Toolbox) -> Result<Self, DevnetError> {
        let program = toolbox.path_of(Tool::Bitcoind)?;
        let folder = data_dir.subfolder(name)?;
        let mut attempt = 1;
        loop {
            let (rpc_port, p2p_port) = (free_port()?, free_port()?);
            let rpc_password = random_hex::<16>()?;
            chain::write_config(&folder, RPC_USER, &rpc_password)?;
            let mut spec = ProcessSpec::new(name, &program, data_dir.log_file(name))
                .arg(format!("-datadir={}", folder.display()))
                .arg(format!("-rpcport={}", rpc_port.number()))
                .arg(format!("-bind=127.0.0.1:{}", p2p_port.number()));
            spec.drop_signal = data_dir.drop_signal();
            let this = Self {
                process: Process::new(spec),
                rpc: RpcClient::new(rpc_port.number(), RPC_USER, &rpc_password),
                rpc_port,
                p2p_port,
                rpc_password,
                faucet_turn: tokio::sync::Mutex::default(),
                data_dir: data_dir.clone(),
            };
            match this.run().await {
                Err(error) if attempt < START_ATTEMPTS && error.is_port_clash() => attempt += 1,
                result => return result.map(|()| this),
            }
        }
    }

    /// `http://127.0.0.1:port`, without the credentials.
    pub fn rpc_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rpc_port())
    }

    /// User name for RPC.
    pub fn rpc_user(&self) -> &str {
        RPC_USER
    }

    /// Password for RPC.
    pub fn rpc_password(&self) -> &str {
        &self.rpc_password
    }

    /// Port of the RPC server on 127.0.0.1; stays the same over restarts.
    pub fn rpc_port(&self) -> u16 {
        self.rpc_port.number()
    }

    /// Port of the peer-to-peer server on 127.0.0.1; stays the same over restarts.
    pub fn p2p_port(&self) -> u16 {
        self.p2p_port.number()
    }

    /// The node's process, to signal or watch it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The folder it writes to.
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Path of the node's log.
    pub fn log_file(&self) -> PathBuf {
        self.process.spec().log_file.clone()
    }

    /// Calls any RPC method with positional (array) or named (object) parameters.
    ///
    /// # Errors
    /// `Rpc` with bitcoind's code and message, `Unreachable` when there is no answer within a minute.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, DevnetError> {
        self.rpc.call(method, params).await
    }

    pub(crate) fn rpc_client(&self) -> RpcClient {
        self.rpc.clone()
    }

    /// Ends it in good order.
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

    /// Starts it again on the same ports with the same password, and waits until it answers.
    ///
    /// # Errors
    /// A node that does not start.
    pub async fn restart(&self) -> Result<(), DevnetError> {
        self.process.stop().await?;
        self.run().await
    }

    async fn run(&self) -> Result<(), DevnetError> {
        self.process.start()?;
        self.process.wait_until_ready(READY_TIMEOUT, || self.probe()).await
    }

    /// Ready means: it answers, and its indexes have caught up with its chain.
    async fn probe(&self) -> Result<(), String> {
        let indexes = self.call("getindexinfo", json!([])).await.map_err(|error| error.to_string())?;
        let lagging = |(_name, state): (&String, &Value)| state.get("synced") != Some(&Value::Bool(true));
        match indexes.as_object() {
            Some(indexes) if indexes.is_empty() || indexes.iter().any(lagging) => {
                Err(format!("its indexes are not ready: {indexes:?}"))
            }
            Some(_) => Ok(()),
            None => Err(String::from("it did not describe its indexes")),
        }
    }
}
