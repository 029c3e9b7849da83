//! Starts indexers, and reads chains in the ways a client can.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_devnet::{Bitcoind, ElectrumX, Postgres};
use ailayer_indexer::app::{self, Sources};
use ailayer_indexer::config::Config;
use ailayer_indexer::ports::ElectrumSource;
use ailayer_indexer::{NAME, RunError};
use ailayer_platform::client::{ClientConfig, GrpcChannel, channel, stream_channel};
use ailayer_platform::config::load_from;
use ailayer_platform::tasks::Shutdown;
use ailayer_proto::ailayer::indexer::v1 as pb;
use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::hashes::Hash as _;
use bitcoin::{BlockHash, Txid};
use pb::indexer_service_client::IndexerServiceClient;
use pb::watch_blocks_response::Event;
use tonic::{Status, Streaming};

pub const PATIENCE: Duration = Duration::from_secs(30);

/// Repeats `attempt` until it gives something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A new database of the cluster that all tests share.
pub async fn new_database() -> String {
    Postgres::shared().await.unwrap().create_database().await.unwrap()
}

pub fn config(database_url: &str, electrum_url: &str, extra: &str) -> Config {
    let text = format!(
        "[indexer]\nnetwork = \"regtest\"\nelectrum_url = \"{electrum_url}\"\npoll_interval = \"50ms\"\n\
         store = {{ url = \"{database_url}\", max_connections = 4 }}\n{extra}\n"
    );
    load_from("indexer", Some(&text), []).unwrap()
}

/// A node and its server.
pub struct Net {
    pub bitcoind: Bitcoind,
    pub electrumx: ElectrumX,
}

impl Net {
    pub async fn start() -> Self {
        let bitcoind = Bitcoind::start().await.unwrap();
        let electrumx = ElectrumX::start(&bitcoind).await.unwrap();
        Self { bitcoind, electrumx }
    }

    pub fn config(&self, database_url: &str) -> Config {
        config(database_url, &self.electrumx.url(), "")
    }

    /// The node's chain from genesis.
    pub async fn chain(&self) -> Vec<BlockHash> {
        let tip = self.bitcoind.tip().await.unwrap();
        let mut hashes = Vec::new();
        for height in 0..=tip.height {
            hashes.push(self.bitcoind.block_hash(height).await.unwrap());
        }
        hashes
    }
}

/// An indexer in this process, and clients of it.
pub struct Indexer {
    pub client: IndexerServiceClient<GrpcChannel>,
    watcher: IndexerServiceClient<GrpcChannel>,
    shutdown: Shutdown,
    running: app::Running,
}

impl Indexer {
    pub async fn start(config: Config) -> Self {
        let sources = Sources::electrum(&config).unwrap();
        Self::start_on(config, sources).await.unwrap()
    }

    pub async fn start_on_source(database_url: &str, extra: &str, source: Arc<dyn ElectrumSource>) -> Self {
        let sources = Sources { follow: Arc::clone(&source), query: source };
        Self::start_on(config(database_url, "tcp://127.0.0.1:1", extra), sources).await.unwrap()
    }

    pub async fn start_on(config: Config, sources: Sources) -> Result<Self, RunError> {
        assert_eq!(NAME, "indexer");
        let shutdown = Shutdown::new();
        let running = app::start(config, sources, shutdown.clone()).await?;
        let endpoint = ClientConfig::new(format!("http://{}", running.grpc_address()));
        Ok(Self {
            client: IndexerServiceClient::new(channel(&endpoint).unwrap()),
            watcher: IndexerServiceClient::new(stream_channel(&endpoint).unwrap()),
            shutdown,
            running,
        })
    }

    /// Stops in good order and tells how that went.
    pub async fn stop(self) -> Result<(), RunError> {
        self.shutdown.trigger();
        self.running.join().await
    }

    /// Waits until the service has stopped itself.
    pub async fn stopped(self) -> Result<(), RunError> {
        self.running.join().await
    }

    pub async fn tip(&self) -> Result<(BlockHash, u32, bool), Status> {
        let answer = self.client.clone().get_tip(pb::GetTipRequest {}).await?.into_inner();
        let tip = answer.tip.unwrap();
        Ok((BlockHash::from_slice(&tip.block_hash).unwrap(), tip.height, answer.synced))
    }

    pub async fn wait_for_tip(&self, hash: BlockHash) {
        eventually(&format!("tip {hash}"), async || {
            self.tip().await.ok().filter(|(tip, _, synced)| *tip == hash && *synced)
        })
        .await;
    }

    pub async fn headers(
        &self,
        start_height: u32,
        page_size: u32,
    ) -> Result<pb::ListHeadersResponse, Status> {
        let request = pb::ListHeadersRequest { start_height, page_size };
        self.client.clone().list_headers(request).await.map(tonic::Response::into_inner)
    }

    /// The whole chain, page by page, with the links checked.
    pub async fn chain(&self) -> Vec<BlockHash> {
        let mut hashes: Vec<BlockHash> = Vec::new();
        let mut start = 0;
        loop {
            let page = self.headers(start, 40).await.unwrap();
            for raw in &page.headers {
                let header: Header = deserialize(raw).unwrap();
                if let Some(below) = hashes.last() {
                    assert_eq!(header.prev_blockhash, *below);
                }
                hashes.push(header.block_hash());
            }
            match page.next_start_height {
                0 => return hashes,
                next => start = next,
            }
        }
    }

    pub async fn transaction(&self, txid: Txid) -> Result<(pb::Transaction, u32), Status> {
        let request = pb::GetTransactionRequest { txid: txid.to_byte_array().to_vec() };
        let answer = self.client.clone().get_transaction(request).await?.into_inner();
        Ok((answer.transaction.unwrap(), answer.tip.unwrap().height))
    }

    pub async fn script_transactions(
        &self,
        scripts: Vec<Vec<u8>>,
    ) -> Result<pb::ListScriptTransactionsResponse, Status> {
        let request = pb::ListScriptTransactionsRequest { script_pubkeys: scripts };
        self.client.clone().list_script_transactions(request).await.map(tonic::Response::into_inner)
    }

    pub async fn broadcast(&self, raw: Vec<u8>) -> Result<Txid, Status> {
        let answer = self.client.clone().broadcast(pb::BroadcastRequest { raw }).await?.into_inner();
        Ok(Txid::from_slice(&answer.txid).unwrap())
    }

    pub async fn watch(&self, after_cursor: u64) -> Result<Streaming<pb::WatchBlocksResponse>, Status> {
        let request = pb::WatchBlocksRequest { after_cursor };
        self.watcher.clone().watch_blocks(request).await.map(tonic::Response::into_inner)
    }
}

/// A client that knows the chain only from the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reader {
    pub cursor: u64,
    pub chain: Vec<BlockHash>,
}

impl Reader {
    /// Takes one event; asserts everything the contract promises of it.
    pub fn apply(&mut self, response: pb::WatchBlocksResponse) {
        assert_eq!(response.cursor, self.cursor + 1, "cursors have no gap");
        self.cursor = response.cursor;
        let height = u32::try_from(self.chain.len()).unwrap();
        match response.event.unwrap() {
            Event::Connected(connected) => {
                let header: Header = deserialize(&connected.header).unwrap();
                let block = connected.block.unwrap();
                assert_eq!(block.block_hash, header.block_hash().to_byte_array());
                assert_eq!(block.height, height);
                if let Some(below) = self.chain.last() {
                    assert_eq!(header.prev_blockhash, *below);
                }
                self.chain.push(header.block_hash());
            }
            Event::Disconnected(block) => {
                assert_eq!(block.height, height - 1);
                assert_eq!(block.block_hash, self.chain.pop().unwrap().to_byte_array());
            }
        }
    }

    /// Reads on until the newest block is `tip`.
    pub async fn follow_to(&mut self, indexer: &Indexer, tip: BlockHash) {
        let mut stream = indexer.watch(self.cursor).await.unwrap();
        while self.chain.last() != Some(&tip) {
            let next = tokio::time::timeout(PATIENCE, stream.message()).await;
            self.apply(next.expect("the stream went quiet").unwrap().unwrap());
        }
    }
}
