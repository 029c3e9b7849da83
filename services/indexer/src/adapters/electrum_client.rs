//! An Electrum server through the blocking `electrum-client` crate.
//!
//! The crate's own `Client` sleeps, retries and reads lines of any length. Here its `RawClient` runs on a few
//! owned threads over a transport that bounds every call in time and bytes, answers are parsed by
//! our own code, and a panic inside the crate costs one connection.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bitcoin::block::Header;
use bitcoin::{BlockHash, Script, Txid};
use electrum_client::{Param, ToElectrumScriptHash as _};
use serde_json::Value;

use crate::domain::fee::FeeRate;
use crate::domain::merkle::MerkleBranch;
use crate::ports::{BroadcastOutcome, ElectrumSource, HistoryEntry, SourceError, SourceTip};

mod answer;
mod connection;
mod endpoint;
mod transport;
mod workers;

pub use endpoint::{Endpoint, EndpointError};
use workers::Workers;

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct ElectrumOptions {
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The genesis hash it must serve; asked again on every connection.
    pub genesis_hash: BlockHash,
    /// The longest a call may take, connecting included.
    pub request_timeout: Duration,
    /// Connections, each with a thread of its own.
    pub connections: usize,
}

/// A server, reached over a few connections. Clones share them; threads end with the last clone.
#[derive(Debug, Clone)]
pub struct ElectrumClient {
    workers: Arc<Workers>,
}

impl ElectrumClient {
    /// Starts the threads. Nothing is connected before the first call.
    pub fn start(options: &ElectrumOptions) -> std::io::Result<Self> {
        Ok(Self { workers: Arc::new(Workers::start(options)?) })
    }

    async fn call(&self, method: &'static str, params: Vec<Param>) -> Result<Value, SourceError> {
        self.workers.call(method, params).await
    }
}

#[async_trait]
impl ElectrumSource for ElectrumClient {
    async fn check(&self) -> Result<(), SourceError> {
        // Every new connection has compared the genesis hash before this is sent.
        self.call("server.ping", vec![]).await.map(drop)
    }

    async fn tip(&self) -> Result<SourceTip, SourceError> {
        answer::tip(&self.call("blockchain.headers.subscribe", vec![]).await?)
    }

    async fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, SourceError> {
        let params = vec![Param::U32(start_height), Param::U32(count)];
        answer::headers(&self.call("blockchain.block.headers", params).await?, count)
    }

    async fn transaction(&self, txid: Txid) -> Result<Option<Vec<u8>>, SourceError> {
        match self.call("blockchain.transaction.get", vec![Param::String(txid.to_string())]).await {
            Ok(value) => answer::bytes(&value).map(Some),
            Err(SourceError::Refused(reason)) if answer::means_unknown_transaction(&reason) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn script_history(&self, script: &Script) -> Result<Vec<HistoryEntry>, SourceError> {
        let scripthash = hex::encode(*script.to_electrum_scripthash());
        match self.call("blockchain.scripthash.get_history", vec![Param::String(scripthash)]).await {
            Ok(value) => answer::history(&value),
            Err(SourceError::Refused(reason)) if answer::means_too_large(&reason) => {
                Err(SourceError::TooLarge)
            }
            Err(error) => Err(error),
        }
    }

    async fn merkle_branch(&self, txid: Txid, height: u32) -> Result<Option<MerkleBranch>, SourceError> {
        let params = vec![Param::String(txid.to_string()), Param::U32(height)];
        match self.call("blockchain.transaction.get_merkle", params).await {
            Ok(value) => answer::merkle_branch(&value, height).map(Some),
            // Servers word "not in that block" and "no such block" in many ways; to us they are one.
            Err(SourceError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn broadcast(&self, raw: &[u8]) -> Result<BroadcastOutcome, SourceError> {
        match self.call("blockchain.transaction.broadcast", vec![Param::String(hex::encode(raw))]).await {
            Ok(_) => Ok(BroadcastOutcome::Accepted),
            Err(SourceError::Refused(reason)) if answer::means_already_known(&reason) => {
                Ok(BroadcastOutcome::Accepted)
            }
            Err(SourceError::Refused(reason)) => Ok(BroadcastOutcome::Rejected(reason)),
            Err(error) => Err(error),
        }
    }

    async fn estimate_fee(&self, target_blocks: u32) -> Result<Option<FeeRate>, SourceError> {
        match self.call("blockchain.estimatefee", vec![Param::U32(target_blocks)]).await {
            Ok(value) => answer::fee_estimate(&value),
            Err(SourceError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn relay_fee(&self) -> Result<FeeRate, SourceError> {
        // Protocol 1.6 replaced the first by the second.
        match self.call("mempool.get_info", vec![]).await {
            Ok(value) => answer::mempool_minimum(&value),
            Err(SourceError::Refused(_)) => {
                answer::relay_fee(&self.call("blockchain.relayfee", vec![]).await?)
            }
            Err(error) => Err(error),
        }
    }
}
