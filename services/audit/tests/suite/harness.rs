//! An audit service in this process, and what tests ask of it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use ailayer_audit::{Config, RunError};
use ailayer_devnet::{FreePort, Postgres, free_port};
use ailayer_platform::config::load_from;
use ailayer_platform::tasks::Shutdown;
use ailayer_proto::ailayer::audit::v1::audit_service_client::AuditServiceClient;
use ailayer_proto::ailayer::audit::v1::{self as pb};
use ailayer_tlog::note::{Note, Verifier};
use ailayer_tlog::proof::{verify_consistency, verify_inclusion};
use ailayer_tlog::{Checkpoint, NodeHash, leaf_hash};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;
use tonic::transport::Channel;

pub const ORIGIN: &str = "ailayer.example/log";
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A log's home: database, data folder, address. Services come and go in it.
pub struct Home {
    pub database: String,
    pub folder: tempfile::TempDir,
    port: FreePort,
    indexer: String,
    extra: String,
}

impl Home {
    /// An empty one; `extra` are further configuration lines.
    pub async fn new(indexer: &str, extra: &str) -> Self {
        init();
        let database = Postgres::shared().await.unwrap().create_database().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { database, folder, port: free_port().unwrap(), indexer: indexer.into(), extra: extra.into() }
    }

    /// One without a chain: nobody answers at its indexer's address.
    pub async fn without_chain(extra: &str) -> Self {
        let nobody = free_port().unwrap();
        Self::new(&format!("http://{}", nobody.address()), extra).await
    }

    pub fn config_text(&self) -> String {
        format!(
            r#"[audit]
network = "regtest"
origin = "{ORIGIN}"
data_dir = "{folder}"
checkpoint_interval = "50ms"
anchor_interval = "100ms"
anchor_confirmations = 2
chain_poll_interval = "50ms"
{extra}
[audit.store]
url = "{database}"
[audit.indexer]
endpoint = "{indexer}"
[audit.platform.server]
listen = "{listen}"
"#,
            folder = self.data_dir().display(),
            extra = self.extra,
            database = self.database,
            indexer = self.indexer,
            listen = self.port.address(),
        )
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    pub fn write_config(&self) -> PathBuf {
        let path = self.folder.path().join("ailayer.toml");
        std::fs::write(&path, self.config_text()).unwrap();
        path
    }

    pub fn client(&self) -> AuditServiceClient<Channel> {
        let channel = Channel::from_shared(format!("http://{}", self.port.address())).unwrap();
        AuditServiceClient::new(channel.connect_lazy())
    }

    /// Starts a service and waits until it answers.
    pub async fn start(&self) -> Audit {
        self.start_with(&self.config_text()).await
    }

    /// The same with another configuration.
    pub async fn start_with(&self, config_text: &str) -> Audit {
        let audit = self.spawn(config_text);
        audit.wait_until_up().await;
        audit
    }

    /// Starts a service that is expected to refuse.
    pub async fn start_refused(&self) -> RunError {
        self.start_with_refused(&self.config_text()).await
    }

    /// The same with another configuration.
    pub async fn start_with_refused(&self, config_text: &str) -> RunError {
        tokio::time::timeout(PATIENCE, self.spawn(config_text).task).await.unwrap().unwrap().unwrap_err()
    }

    fn spawn(&self, config_text: &str) -> Audit {
        let config: Config = load_from("audit", Some(config_text), []).unwrap();
        let shutdown = Shutdown::new();
        #[expect(clippy::disallowed_methods, reason = "the service under test is its own owner")]
        let task = tokio::spawn(ailayer_audit::run(config, shutdown.clone()));
        Audit { client: self.client(), shutdown, task }
    }

    pub async fn sql(&self) -> PgConnection {
        let mut connection = PgConnection::connect(&self.database).await.unwrap();
        sqlx::query("set search_path to audit").execute(&mut connection).await.unwrap();
        connection
    }

    pub async fn execute(&self, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.sql().await).await.unwrap();
    }
}

/// A running service.
pub struct Audit {
    pub client: AuditServiceClient<Channel>,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), RunError>>,
}

impl Audit {
    async fn wait_until_up(&self) {
        wait_for("the service answers", async || {
            assert!(!self.task.is_finished(), "the service ended");
            self.client.clone().get_log(pb::GetLogRequest {}).await.ok()
        })
        .await;
    }

    /// Stops it in an orderly way.
    pub async fn stop(self) {
        self.shutdown.trigger();
        self.task.await.unwrap().unwrap();
    }

    pub async fn append(&self, entry: &[u8]) -> pb::AppendEntryResponse {
        append(&self.client, entry).await
    }

    pub async fn log(&self) -> pb::GetLogResponse {
        self.client.clone().get_log(pb::GetLogRequest {}).await.unwrap().into_inner()
    }

    pub async fn verifier(&self) -> Verifier {
        Verifier::parse(&self.log().await.verification_key).unwrap()
    }

    /// The newest checkpoint, its signature checked.
    pub async fn checkpoint(&self) -> Checkpoint {
        let answer =
            self.client.clone().get_checkpoint(pb::GetCheckpointRequest {}).await.unwrap().into_inner();
        let checkpoint = open(&answer.checkpoint, &self.verifier().await);
        assert_eq!(checkpoint.tree_size, answer.tree_size);
        checkpoint
    }

    /// Waits for a checkpoint of at least this size.
    pub async fn checkpoint_over(&self, tree_size: u64) -> Checkpoint {
        wait_for("a checkpoint", async || {
            Some(self.checkpoint().await).filter(|checkpoint| checkpoint.tree_size >= tree_size)
        })
        .await
    }

    pub async fn prove_inclusion(&self, leaf_index: u64, entry: &[u8], checkpoint: &Checkpoint) {
        let request = pb::GetInclusionProofRequest { leaf_index, tree_size: checkpoint.tree_size };
        let proof = self.client.clone().get_inclusion_proof(request).await.unwrap().into_inner();
        let (leaf, hashes) = (leaf_hash(entry), hashes(&proof.hashes));
        verify_inclusion(&leaf, leaf_index, checkpoint.tree_size, &hashes, &checkpoint.root_hash).unwrap();
    }

    pub async fn prove_consistency(&self, old: &Checkpoint, new: &Checkpoint) {
        let request = pb::GetConsistencyProofRequest { old_size: old.tree_size, new_size: new.tree_size };
        let proof = self.client.clone().get_consistency_proof(request).await.unwrap().into_inner();
        let hashes = hashes(&proof.hashes);
        verify_consistency(old.tree_size, &old.root_hash, new.tree_size, &new.root_hash, &hashes).unwrap();
    }

    pub async fn entry_proof(&self, entry: &[u8], with: Option<&[u8]>) -> pb::GetEntryProofResponse {
        let with_leaf_hash = with.map(|entry| leaf_hash(entry).to_bytes().to_vec()).unwrap_or_default();
        let request =
            pb::GetEntryProofRequest { leaf_hash: leaf_hash(entry).to_bytes().to_vec(), with_leaf_hash };
        self.client.clone().get_entry_proof(request).await.unwrap().into_inner()
    }
}

pub async fn append(client: &AuditServiceClient<Channel>, entry: &[u8]) -> pb::AppendEntryResponse {
    let request = pb::AppendEntryRequest { entry: entry.to_vec().into() };
    client.clone().append_entry(request).await.unwrap().into_inner()
}

pub fn open(note: &str, verifier: &Verifier) -> Checkpoint {
    Checkpoint::open(&Note::parse(note.as_bytes()).unwrap(), verifier).unwrap()
}

pub fn hashes(hashes: &[impl AsRef<[u8]>]) -> Vec<NodeHash> {
    hashes.iter().map(|hash| NodeHash::try_from(hash.as_ref()).unwrap()).collect()
}

/// Asks until there is an answer.
pub async fn wait_for<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "gave up waiting: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Log lines of failing tests, and the one provider of cryptography.
pub fn init() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        if let Ok(filter) = std::env::var("RUST_LOG") {
            let config =
                ailayer_platform::config::TelemetryConfig { log_filter: filter, ..Default::default() };
            // Lives as long as the process.
            std::mem::forget(ailayer_platform::telemetry::init("audit-test", &config).unwrap());
        }
    });
}

pub fn current_exe() -> &'static Path {
    static EXE: OnceLock<PathBuf> = OnceLock::new();
    EXE.get_or_init(|| std::env::current_exe().unwrap())
}
