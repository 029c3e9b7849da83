//! An ElectrumX server on top of a [`Bitcoind`].

use std::{path::PathBuf, time::Duration};

use bitcoin::{block::Header, consensus::encode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{
    bitcoind::{Bitcoind, BlockRef, RpcClient},
    data_dir::DataDir,
    error::DevnetError,
    ports::{FreePort, free_port},
    process::{Process, ProcessSpec},
    toolbox::{Tool, Toolbox},
};

const SERVER: &str = "ElectrumX";
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const TIP_TIMEOUT: Duration = Duration::from_secs(30);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const START_ATTEMPTS: u32 = 3;

/// A running server that has caught up with its node. Ends with the handle.
///
/// ElectrumX ends with an assertion when a reorganisation reaches down to the genesis block: mine a dozen
/// blocks before a test replaces some.
#[derive(Debug)]
pub struct ElectrumX {
    // Before the folder: fields drop in this order, and the server writes into it until it has ended.
    process: Process,
    port: FreePort,
    bitcoind: RpcClient,
    data_dir: DataDir,
}

impl ElectrumX {
    /// Starts a server in the folder of its node.
    ///
    /// # Errors
    /// A missing tool, or a server that does not start.
    pub async fn start(bitcoind: &Bitcoind) -> Result<Self, DevnetError> {
        Self::start_in(bitcoind.data_dir(), &Toolbox::discover(), bitcoind).await
    }

    /// Starts a server in `data_dir`, continuing with its index if there is one.
    ///
    /// # Errors
    /// A missing tool, or a server that does not start.
    pub async fn start_in(
        data_dir: &DataDir,
        toolbox: &Toolbox,
        bitcoind: &Bitcoind,
    ) -> Result<Self, DevnetError> {
        let program = toolbox.path_of(Tool::ElectrumX)?;
        let folder = data_dir.subfolder("electrumx")?;
        let prompt = answer_promptly(data_dir)?;
        let daemon_url = format!(
            "http://{}:{}@127.0.0.1:{}",
            bitcoind.rpc_user(),
            bitcoind.rpc_password(),
            bitcoind.rpc_port()
        );
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            let mut spec = ProcessSpec::new("electrumx", &program, data_dir.log_file("electrumx"))
                .env("COIN", "Bitcoin")
                .env("NET", "regtest")
                .env("DB_ENGINE", "leveldb")
                .env("DB_DIRECTORY", &folder)
                .env("DAEMON_URL", &daemon_url)
                .env("SERVICES", format!("tcp://127.0.0.1:{}", port.number()))
                .env("PEER_DISCOVERY", "off")
                // Milliseconds; five seconds by default, which every test that mines would spend waiting.
                .env("DAEMON_POLL_INTERVAL_BLOCKS", "200")
                .env("DAEMON_POLL_INTERVAL_MEMPOOL", "200")
                .env("CACHE_MB", "64")
                .env("COST_SOFT_LIMIT", "0")
                .env("COST_HARD_LIMIT", "0")
                .env("ALLOW_ROOT", "1")
                .env("PYTHONPATH", &prompt);
            spec.drop_signal = data_dir.drop_signal();
            let (bitcoind, data_dir) = (bitcoind.rpc_client(), data_dir.clone());
            let this = Self { process: Process::new(spec), port, bitcoind, data_dir };
            match this.run().await {
                Err(error) if attempt < START_ATTEMPTS && error.is_port_clash() => attempt += 1,
                result => return result.map(|()| this),
            }
        }
    }

    /// `tcp://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("tcp://127.0.0.1:{}", self.port())
    }

    /// Port on 127.0.0.1; stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// The server's process, to signal or watch it.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The folder it writes to.
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Path of the server's log.
    pub fn log_file(&self) -> PathBuf {
        self.process.spec().log_file.clone()
    }

    /// Tip of the chain as this server sees it.
    ///
    /// # Errors
    /// As [`ElectrumX::call`].
    pub async fn tip(&self) -> Result<BlockRef, DevnetError> {
        let method = "blockchain.headers.subscribe";
        let answer = self.call(method, json!([])).await?;
        let height =
            answer.get("height").and_then(Value::as_u64).and_then(|height| u32::try_from(height).ok());
        let header = answer.get("hex").and_then(Value::as_str);
        let header = header.and_then(|header| encode::deserialize_hex::<Header>(header).ok());
        match (height, header) {
            (Some(height), Some(header)) => Ok(BlockRef { height, hash: header.block_hash() }),
            _ => Err(DevnetError::unexpected(SERVER, method, "no header")),
        }
    }

    /// Waits until its tip is the node's.
    ///
    /// # Errors
    /// `TimedOut` after half a minute, `Exited` when it has died.
    pub async fn wait_for_tip(&self) -> Result<BlockRef, DevnetError> {
        let began = std::time::Instant::now();
        loop {
            let wanted = self.bitcoind.tip().await?;
            if self.tip().await.is_ok_and(|tip| tip == wanted) {
                return Ok(wanted);
            }
            self.process.check_running()?;
            if began.elapsed() > TIP_TIMEOUT {
                let what = format!("ElectrumX has block {} at height {}", wanted.hash, wanted.height);
                return Err(DevnetError::TimedOut { what, waited: TIP_TIMEOUT });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Calls any method of the Electrum protocol on a connection of its own.
    ///
    /// # Errors
    /// `Rpc` with the server's code and message, `Unreachable` when there is no answer in time.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, DevnetError> {
        let exchange = exchange(self.port(), method, params);
        tokio::time::timeout(CALL_TIMEOUT, exchange).await.map_err(|_| unreachable("no answer in time"))?
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

    /// Starts it again on the same port, and waits until it has caught up with the node.
    ///
    /// # Errors
    /// A server that does not start.
    pub async fn restart(&self) -> Result<(), DevnetError> {
        self.process.stop().await?;
        self.run().await
    }

    async fn run(&self) -> Result<(), DevnetError> {
        self.process.start()?;
        let probe = || async {
            let tip = self.tip().await.map_err(|error| error.to_string())?;
            let wanted = self.bitcoind.tip().await.map_err(|error| error.to_string())?;
            let behind = || format!("it is at height {} and the node at {}", tip.height, wanted.height);
            if tip == wanted { Ok(()) } else { Err(behind()) }
        };
        self.process.wait_until_ready(READY_TIMEOUT, probe).await
    }
}

/// One call: it insists on `server.version` as the first message of every connection.
async fn exchange(port: u16, method: &str, params: Value) -> Result<Value, DevnetError> {
    let lost = |error: std::io::Error| unreachable(error.to_string());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(lost)?;
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "server.version", "params": ["ailayer-devnet", ["1.4", "1.6"]] });
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    stream.write_all(format!("{hello}\n{request}\n").as_bytes()).await.map_err(lost)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await.map_err(lost)? {
        let mut message: Value = serde_json::from_str(&line)
            .map_err(|error| DevnetError::unexpected(SERVER, method, error.to_string()))?;
        if let Some(error) = message.get("error").filter(|error| !error.is_null()) {
            return Err(DevnetError::Rpc {
                server: SERVER,
                method: method.to_owned(),
                code: error.get("code").and_then(Value::as_i64).unwrap_or(0),
                message: error.get("message").and_then(Value::as_str).unwrap_or("no message").to_owned(),
            });
        }
        if message.get("id") == Some(&json!(1)) {
            return Ok(message.get_mut("result").map_or(Value::Null, Value::take));
        }
    }
    Err(unreachable("it closed the connection"))
}

fn unreachable(message: impl Into<String>) -> DevnetError {
    DevnetError::Unreachable { server: SERVER, message: message.into() }
}

/// Python runs a module of this name at every start.
const STARTUP_MODULE: &str = "sitecustomize.py";
/// ElectrumX pads answers against traffic analysis and keeps small ones back for up to a second, in the hope of
/// filling a packet. It offers no setting for that; on loopback it only makes everybody wait.
const ANSWER_PROMPTLY: &str = "\
try:
    from electrumx.server.transport import PaddedRSTransport
    PaddedRSTransport.WAIT_FOR_BUFFER_GROWTH_SECONDS = 0
except ImportError:
    pass  # a version that does not pad
";

/// A folder whose startup module makes ElectrumX answer at once.
fn answer_promptly(data_dir: &DataDir) -> Result<std::path::PathBuf, DevnetError> {
    let folder = data_dir.subfolder("electrumx-startup")?;
    let module = folder.join(STARTUP_MODULE);
    std::fs::write(&module, ANSWER_PROMPTLY)
        .map_err(DevnetError::io(format!("writing {}", module.display())))?;
    Ok(folder)
}
