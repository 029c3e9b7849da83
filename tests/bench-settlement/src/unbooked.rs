//! A gateway whose ledger and log do nothing: everything else of a prepaid call is the real gateway's. It takes the command line
//! of `ailayer serve gateway`.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ailayer_client::CallError;
use ailayer_client::audit::{Appended, EntryProof, Log};
use ailayer_gateway::app::{Ports, run_with};
use ailayer_gateway::domain::ledger::{Operation, Posted, TransactionId, Verdict};
use ailayer_gateway::jobs::JobRow;
use ailayer_gateway::ports::{AuditLog, Books};
use ailayer_gateway::tasks::write_ledger::SubmitError;
use ailayer_gateway::{Config, NAME};
use ailayer_platform::clock::now_ms;
use ailayer_platform::config::load;
use ailayer_platform::tasks::Shutdown;
use ailayer_platform::telemetry;
use ailayer_primitives::UnixMs;
use ailayer_tlog::note::Signer;
use ailayer_tlog::{IndexPromise, NodeHash, leaf_hash};
use async_trait::async_trait;
use uuid::Uuid;

/// Names the log's key.
const ORIGIN: &str = "bench.example/nothing";
const SEED: [u8; 32] = [0xB0; 32];

/// Runs it until it is asked to end.
pub fn serve(config: &Path) -> anyhow::Result<()> {
    let config: Config = load(NAME, Some(config))?;
    let _telemetry = telemetry::init(NAME, &config.platform.telemetry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let audit = Arc::new(NoLog { key: Signer::try_new(ORIGIN, &SEED)?, next: AtomicU64::new(0) });
        let ports = Ports { audit, books: Some(Arc::new(NoBooks)), ..Ports::of(&config)? };
        Ok(run_with(config, ports, Shutdown::on_signals()?).await?)
    })
}

/// Books in which everything is applied and nothing is kept.
struct NoBooks;

#[async_trait]
impl Books for NoBooks {
    async fn apply(&self, _: Operation, _: JobRow) -> Result<Verdict, SubmitError> {
        Ok(Verdict::Applied(Posted {
            transaction_id: TransactionId::new(Uuid::now_v7()),
            posted_at: now_ms(),
            balance_units: 0,
            reserved_units: 0,
            shortfall_units: 0,
        }))
    }

    async fn write(&self, _: JobRow) -> Result<bool, SubmitError> {
        Ok(true)
    }
}

/// A log that promises an index and keeps nothing. The promise is signed, since the gateway believes no other.
struct NoLog {
    key: Signer,
    next: AtomicU64,
}

#[async_trait]
impl AuditLog for NoLog {
    async fn log(&self) -> Result<Log, CallError> {
        Ok(Log { verification_key: self.key.verifier().to_string(), ..Log::default() })
    }

    async fn append(&self, entry: &[u8]) -> Result<Appended, CallError> {
        let promise = IndexPromise {
            leaf_index: self.next.fetch_add(1, Ordering::Relaxed),
            leaf_hash: leaf_hash(entry),
            sequenced_unix_ms: now_ms().0,
        };
        Ok(Appended {
            leaf_index: promise.leaf_index,
            leaf_hash: promise.leaf_hash,
            sequenced_at: UnixMs(promise.sequenced_unix_ms),
            duplicate: false,
            index_signature: promise.sign(&self.key),
        })
    }

    async fn entry_proof(&self, _: NodeHash, _: Option<NodeHash>) -> Result<EntryProof, CallError> {
        Err(CallError::Malformed { service: "audit", what: "nothing is kept".to_owned() })
    }
}
