//! The chain as the indexer tells it over gRPC.

use ailayer_platform::client::{self, ClientConfig, ClientError, GrpcChannel};
use ailayer_platform::convert::network_from_proto;
use ailayer_platform::error::{ErrorReason, reason_of};
use ailayer_proto::ailayer::common::v1 as common;
use ailayer_proto::ailayer::indexer::v1 as pb;
use ailayer_proto::ailayer::indexer::v1::indexer_service_client::IndexerServiceClient;
use async_trait::async_trait;
use bitcoin::block::Header;
use bitcoin::consensus::encode;
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, FeeRate, ScriptBuf, Transaction, Txid};
use tonic::Status;

use crate::domain::spv::{BlockRef, MerkleBranch};
use crate::ports::{ChainError, ChainView, MAX_HEADERS, SeenTransaction, Tip};

/// Largest answer taken: a script's history is the longest.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Client of the indexer service. Connects when first used, and again after a loss.
#[derive(Debug, Clone)]
pub struct IndexerGrpc {
    client: IndexerServiceClient<GrpcChannel>,
}

impl IndexerGrpc {
    /// Prepares the connection.
    ///
    /// # Errors
    /// [`ClientError`] when the endpoint is no address.
    pub fn try_new(config: &ClientConfig) -> Result<Self, ClientError> {
        let client = IndexerServiceClient::new(client::channel(config)?);
        Ok(Self { client: client.max_decoding_message_size(MAX_ANSWER_BYTES) })
    }
}

#[async_trait]
impl ChainView for IndexerGrpc {
    async fn tip(&self) -> Result<Tip, ChainError> {
        let answer =
            self.client.clone().get_tip(pb::GetTipRequest {}).await.map_err(unavailable)?.into_inner();
        if !answer.synced {
            return Err(ChainError::Unavailable("the indexer has not caught up yet".into()));
        }
        let network = network_from_proto(answer.network).ok_or_else(|| invalid("unknown network"))?;
        Ok(Tip { block: block_ref(answer.tip.ok_or_else(|| invalid("no tip"))?)?, network })
    }

    async fn headers(&self, start_height: u32, count: u32) -> Result<Vec<Header>, ChainError> {
        let page_size = count.min(MAX_HEADERS);
        if page_size == 0 {
            return Ok(Vec::new());
        }
        let request = pb::ListHeadersRequest { start_height, page_size };
        let answer = match self.client.clone().list_headers(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if reason_of(&status) == Some(ErrorReason::BlockNotFound) => return Ok(Vec::new()),
            Err(status) => return Err(unavailable(status)),
        };
        let header = |bytes: &Vec<u8>| encode::deserialize(bytes).map_err(|_| invalid("malformed header"));
        answer.headers.iter().map(header).collect()
    }

    async fn transaction(&self, txid: Txid) -> Result<Option<SeenTransaction>, ChainError> {
        let request = pb::GetTransactionRequest { txid: txid.to_byte_array().to_vec() };
        let answer = match self.client.clone().get_transaction(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if reason_of(&status) == Some(ErrorReason::TransactionNotFound) => return Ok(None),
            Err(status) => return Err(unavailable(status)),
        };
        let seen = seen_transaction(answer.transaction.ok_or_else(|| invalid("no transaction"))?)?;
        if seen.transaction.compute_txid() != txid {
            return Err(invalid("another transaction than the one asked for"));
        }
        Ok(Some(seen))
    }

    async fn script_transactions(&self, scripts: &[ScriptBuf]) -> Result<Vec<SeenTransaction>, ChainError> {
        let script_pubkeys = scripts.iter().map(|script| script.to_bytes()).collect();
        let request = pb::ListScriptTransactionsRequest { script_pubkeys };
        let answer = self.client.clone().list_script_transactions(request).await.map_err(unavailable)?;
        answer.into_inner().transactions.into_iter().map(seen_transaction).collect()
    }

    async fn broadcast(&self, transaction: &Transaction) -> Result<(), ChainError> {
        let request = pb::BroadcastRequest { raw: encode::serialize(transaction) };
        match self.client.clone().broadcast(request).await {
            Ok(_) => Ok(()),
            Err(status) if reason_of(&status) == Some(ErrorReason::BroadcastRejected) => {
                Err(ChainError::Rejected(status.message().to_owned()))
            }
            Err(status) => Err(unavailable(status)),
        }
    }

    async fn fee_rate(&self, target_blocks: u32) -> Result<FeeRate, ChainError> {
        let request = pb::EstimateFeeRequest { target_blocks };
        let answer = self.client.clone().estimate_fee(request).await.map_err(unavailable)?.into_inner();
        // 1000 vbytes are 4000 weight units; rounded up so that the rate is never below the one stated.
        Ok(FeeRate::from_sat_per_kwu(answer.fee_rate_sat_per_kvb.div_ceil(4)))
    }
}

fn unavailable(status: Status) -> ChainError {
    match reason_of(&status) {
        Some(ErrorReason::VerificationFailed) => ChainError::Invalid(status.message().to_owned()),
        _ => ChainError::Unavailable(Box::new(status)),
    }
}

fn invalid(what: &str) -> ChainError {
    ChainError::Invalid(what.to_owned())
}

fn hash32(bytes: &[u8]) -> Result<[u8; 32], ChainError> {
    bytes.try_into().map_err(|_| invalid("a hash is not 32 bytes"))
}

fn block_ref(block: common::BlockRef) -> Result<BlockRef, ChainError> {
    Ok(BlockRef { block_hash: BlockHash::from_byte_array(hash32(&block.block_hash)?), height: block.height })
}

fn merkle_branch(branch: common::MerkleBranch) -> Result<MerkleBranch, ChainError> {
    let siblings = branch.siblings.iter().map(|hash| hash32(hash)).collect::<Result<_, _>>()?;
    Ok(MerkleBranch { position: branch.position, siblings })
}

fn seen_transaction(seen: pb::Transaction) -> Result<SeenTransaction, ChainError> {
    let transaction: Transaction =
        encode::deserialize(&seen.raw).map_err(|_| invalid("malformed transaction"))?;
    let inclusion = match (seen.block, seen.merkle_branch) {
        (Some(block), Some(branch)) => Some((block_ref(block)?, merkle_branch(branch)?)),
        (None, None) => None,
        _ => return Err(invalid("a block without a merkle branch, or the other way round")),
    };
    Ok(SeenTransaction { transaction, inclusion })
}
