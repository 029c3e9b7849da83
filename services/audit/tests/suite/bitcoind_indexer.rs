//! An indexer that believes its bitcoind, with switches for what goes wrong. The audit service must not notice a
//! difference to the real one, and must survive the switches.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use ailayer_devnet::Bitcoind;
use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_platform::tasks::Shutdown;
use ailayer_proto::ailayer::common::v1 as common;
use ailayer_proto::ailayer::indexer::v1 as pb;
use ailayer_proto::ailayer::indexer::v1::indexer_service_server::{IndexerService, IndexerServiceServer};
use bitcoin::consensus::encode;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Block, BlockHash, ScriptBuf, Transaction, Txid};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What goes wrong.
#[derive(Default)]
pub struct Switches {
    /// Nothing answers.
    pub down: AtomicBool,
    /// Broadcasts are refused.
    pub refuse: AtomicBool,
    /// Headers below this height are not served.
    pub start_height: AtomicU32,
    /// Merkle branches are wrong.
    pub lie: AtomicBool,
    /// The fee rate shown, satoshi per 1000 vbytes; the relay minimum when `None`.
    pub fee_rate: Mutex<Option<u64>>,
}

/// The server; ends with the handle.
pub struct FakeIndexer {
    pub switches: Arc<Switches>,
    address: SocketAddr,
    shutdown: Shutdown,
}

impl FakeIndexer {
    pub async fn start(bitcoind: Arc<Bitcoind>) -> Self {
        let switches = Arc::new(Switches::default());
        let service = Service { bitcoind, switches: switches.clone(), blocks: Mutex::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let stop = shutdown.clone();
        #[expect(clippy::disallowed_methods, reason = "ends with the handle")]
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(IndexerServiceServer::new(service))
                .serve_with_incoming_shutdown(TcpListenerStream::new(listener), async move {
                    stop.cancelled().await
                }),
        );
        Self { switches, address, shutdown }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for FakeIndexer {
    fn drop(&mut self) {
        self.shutdown.trigger();
    }
}

struct Service {
    bitcoind: Arc<Bitcoind>,
    switches: Arc<Switches>,
    blocks: Mutex<HashMap<BlockHash, Arc<Block>>>,
}

type Answer<T> = Result<Response<T>, Status>;

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Status {
    Failure::unavailable("bitcoind", error).into()
}

impl Service {
    /// The best chain, genesis first.
    async fn chain(&self) -> Result<Vec<Arc<Block>>, Status> {
        if self.switches.down.load(Ordering::Relaxed) {
            return Err(Status::unavailable("switched off"));
        }
        let mut hash = self.bitcoind.tip().await.map_err(failed)?.hash;
        let mut chain = Vec::new();
        loop {
            let known = self.blocks.lock().unwrap().get(&hash).cloned();
            let block = match known {
                Some(block) => block,
                None => Arc::new(self.bitcoind.block(hash).await.map_err(failed)?),
            };
            self.blocks.lock().unwrap().insert(hash, block.clone());
            hash = block.header.prev_blockhash;
            chain.push(block);
            if hash == BlockHash::all_zeros() {
                chain.reverse();
                return Ok(chain);
            }
        }
    }

    async fn mempool(&self) -> Result<Vec<Transaction>, Status> {
        let mut transactions = Vec::new();
        for txid in self.bitcoind.mempool().await.map_err(failed)? {
            transactions.extend(self.bitcoind.transaction(txid).await.ok());
        }
        Ok(transactions)
    }

    fn shown(
        &self,
        transaction: &Transaction,
        place: Option<(u32, &Block, usize)>,
        tip: u32,
    ) -> pb::Transaction {
        pb::Transaction {
            txid: transaction.compute_txid().to_byte_array().to_vec(),
            raw: encode::serialize(transaction),
            block: place.map(|(height, block, _)| block_ref(height, block)),
            merkle_branch: place.map(|(_, block, position)| {
                let mut branch = branch(block, position);
                if self.switches.lie.load(Ordering::Relaxed) {
                    branch.position ^= 1;
                }
                branch
            }),
            confirmations: place.map_or(0, |(height, ..)| tip + 1 - height),
        }
    }
}

fn block_ref(height: u32, block: &Block) -> common::BlockRef {
    common::BlockRef { block_hash: block.block_hash().to_byte_array().to_vec(), height }
}

fn tip_of(chain: &[Arc<Block>]) -> (u32, common::BlockRef) {
    let height = u32::try_from(chain.len() - 1).unwrap();
    (height, block_ref(height, &chain[chain.len() - 1]))
}

fn branch(block: &Block, position: usize) -> common::MerkleBranch {
    let mut level: Vec<[u8; 32]> = block.txdata.iter().map(|tx| tx.compute_txid().to_byte_array()).collect();
    let (mut index, mut siblings) = (position, Vec::new());
    while level.len() > 1 {
        if level.len() % 2 == 1 {
            level.push(level[level.len() - 1]);
        }
        siblings.push(level[index ^ 1].to_vec());
        level = level
            .chunks(2)
            .map(|pair| sha256d::Hash::hash(&[pair[0], pair[1]].concat()).to_byte_array())
            .collect();
        index /= 2;
    }
    common::MerkleBranch { position: u32::try_from(position).unwrap(), siblings }
}

#[tonic::async_trait]
impl IndexerService for Service {
    type WatchBlocksStream = futures::stream::Empty<Result<pb::WatchBlocksResponse, Status>>;

    async fn get_tip(&self, _: Request<pb::GetTipRequest>) -> Answer<pb::GetTipResponse> {
        let chain = self.chain().await?;
        Ok(Response::new(pb::GetTipResponse {
            tip: Some(tip_of(&chain).1),
            network: common::Network::Regtest.into(),
            tip_time_unix_s: chain[chain.len() - 1].header.time,
            synced: true,
        }))
    }

    async fn list_headers(
        &self,
        request: Request<pb::ListHeadersRequest>,
    ) -> Answer<pb::ListHeadersResponse> {
        let request = request.into_inner();
        let chain = self.chain().await?;
        let start = usize::try_from(request.start_height).unwrap();
        if start >= chain.len() || request.start_height < self.switches.start_height.load(Ordering::Relaxed) {
            return Err(Failure::new(ErrorReason::BlockNotFound, "not on the chain, or not served").into());
        }
        let headers = chain[start..].iter().take(usize::try_from(request.page_size).unwrap());
        let headers = headers.map(|block| encode::serialize(&block.header)).collect();
        Ok(Response::new(pb::ListHeadersResponse { headers, next_start_height: 0 }))
    }

    async fn get_transaction(
        &self,
        request: Request<pb::GetTransactionRequest>,
    ) -> Answer<pb::GetTransactionResponse> {
        let wanted = Txid::from_slice(&request.into_inner().txid).unwrap();
        let chain = self.chain().await?;
        let (height, tip) = tip_of(&chain);
        let in_blocks = (0..).zip(&chain).find_map(|(at, block)| {
            let position = block.txdata.iter().position(|tx| tx.compute_txid() == wanted)?;
            Some(self.shown(&block.txdata[position], Some((at, block, position)), height))
        });
        let transaction = match in_blocks {
            Some(found) => found,
            None => {
                // From the node's transaction index, which also knows what a reorganisation threw out.
                let missing = |_| Failure::new(ErrorReason::TransactionNotFound, "unknown");
                self.shown(&self.bitcoind.transaction(wanted).await.map_err(missing)?, None, height)
            }
        };
        Ok(Response::new(pb::GetTransactionResponse { transaction: Some(transaction), tip: Some(tip) }))
    }

    async fn list_script_transactions(
        &self,
        request: Request<pb::ListScriptTransactionsRequest>,
    ) -> Answer<pb::ListScriptTransactionsResponse> {
        let scripts = request.into_inner().script_pubkeys;
        assert!((1..=200).contains(&scripts.len()));
        let scripts: Vec<_> = scripts.iter().map(|script| ScriptBuf::from_bytes(script.to_vec())).collect();
        let chain = self.chain().await?;
        let mempool = self.mempool().await?;
        let (height, tip) = tip_of(&chain);
        let mut ours = HashMap::new();
        let mut transactions = Vec::new();
        let confirmed = (0..).zip(&chain).flat_map(|(at, block)| {
            block.txdata.iter().enumerate().map(move |(position, tx)| (tx, Some((at, &**block, position))))
        });
        for (transaction, place) in confirmed.chain(mempool.iter().map(|tx| (tx, None))) {
            let txid = transaction.compute_txid();
            let pays =
                transaction.output.iter().enumerate().filter(|(_, out)| scripts.contains(&out.script_pubkey));
            let pays: Vec<_> = pays.map(|(vout, _)| (txid, u32::try_from(vout).unwrap())).collect();
            let spends = transaction
                .input
                .iter()
                .any(|input| ours.contains_key(&(input.previous_output.txid, input.previous_output.vout)));
            if spends || !pays.is_empty() {
                transactions.push(self.shown(transaction, place, height));
            }
            ours.extend(pays.into_iter().map(|outpoint| (outpoint, ())));
        }
        Ok(Response::new(pb::ListScriptTransactionsResponse { transactions, tip: Some(tip) }))
    }

    async fn broadcast(&self, request: Request<pb::BroadcastRequest>) -> Answer<pb::BroadcastResponse> {
        self.chain().await?;
        if self.switches.refuse.load(Ordering::Relaxed) {
            return Err(Failure::new(ErrorReason::BroadcastRejected, "switched off").into());
        }
        let transaction: Transaction = encode::deserialize(&request.into_inner().raw).unwrap();
        let txid =
            self.bitcoind.broadcast(&transaction).await.map_err(|error| {
                Status::from(Failure::new(ErrorReason::BroadcastRejected, error.to_string()))
            })?;
        Ok(Response::new(pb::BroadcastResponse { txid: txid.to_byte_array().to_vec() }))
    }

    async fn estimate_fee(&self, _: Request<pb::EstimateFeeRequest>) -> Answer<pb::EstimateFeeResponse> {
        self.chain().await?;
        let set = *self.switches.fee_rate.lock().unwrap();
        Ok(Response::new(pb::EstimateFeeResponse {
            fee_rate_sat_per_kvb: set.unwrap_or(1_000),
            fallback: set.is_none(),
        }))
    }

    async fn watch_blocks(&self, _: Request<pb::WatchBlocksRequest>) -> Answer<Self::WatchBlocksStream> {
        Err(Status::unimplemented("not needed here"))
    }
}
