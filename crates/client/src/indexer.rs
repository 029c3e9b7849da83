//! The chain follower. Its messages are plain chain data and travel as they are.

use ailayer_platform::client::{ClientConfig, ClientError, GrpcChannel, channel, stream_channel};
use ailayer_proto::ailayer::indexer::v1 as pb;
use futures::stream::{BoxStream, StreamExt as _};
use pb::indexer_service_client::IndexerServiceClient;

pub use pb::{
    EstimateFeeResponse as FeeEstimate, GetTipResponse as Tip, GetTransactionResponse as FoundTransaction,
    ListHeadersResponse as Headers, ListScriptTransactionsResponse as ScriptTransactions, Transaction,
    WatchBlocksResponse as BlockEvent,
};

use crate::error::refused;
use crate::wire::Reader;
use crate::{CallError, MAX_ANSWER_BYTES};

const SERVICE: &str = "indexer";
const READ: Reader = Reader(SERVICE);

/// Calls the indexer.
#[derive(Clone, Debug)]
pub struct IndexerClient {
    unary: IndexerServiceClient<GrpcChannel>,
    streaming: IndexerServiceClient<GrpcChannel>,
}

impl IndexerClient {
    /// Prepares the client; the connection comes up at the first call.
    pub fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let limited =
            |channel| IndexerServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { unary: limited(channel(config)?), streaming: limited(stream_channel(config)?) })
    }

    /// The newest block.
    pub async fn tip(&self) -> Result<Tip, CallError> {
        let answer = self.unary.clone().get_tip(pb::GetTipRequest {}).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner())
    }

    /// A page of headers from a height on.
    pub async fn list_headers(&self, start_height: u32, page_size: u32) -> Result<Headers, CallError> {
        let answer =
            self.unary.clone().list_headers(pb::ListHeadersRequest { start_height, page_size }).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner())
    }

    /// A transaction with its confirmations and, once in a block, its proof. `txid` in internal byte order.
    pub async fn transaction(&self, txid: [u8; 32]) -> Result<FoundTransaction, CallError> {
        let request = pb::GetTransactionRequest { txid: txid.to_vec() };
        let answer = self.unary.clone().get_transaction(request).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner())
    }

    /// The transactions that touch any of the scripts.
    pub async fn list_script_transactions(
        &self,
        script_pubkeys: Vec<Vec<u8>>,
    ) -> Result<ScriptTransactions, CallError> {
        let request = pb::ListScriptTransactionsRequest { script_pubkeys };
        let answer = self.unary.clone().list_script_transactions(request).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner())
    }

    /// Sends a transaction; answers its id in internal byte order.
    pub async fn broadcast(&self, raw: Vec<u8>) -> Result<[u8; 32], CallError> {
        let answer = self.unary.clone().broadcast(pb::BroadcastRequest { raw }).await;
        READ.bytes("txid", &answer.map_err(refused(SERVICE))?.into_inner().txid)
    }

    /// The fee rate to be confirmed within so many blocks.
    pub async fn estimate_fee(&self, target_blocks: u32) -> Result<FeeEstimate, CallError> {
        let answer = self.unary.clone().estimate_fee(pb::EstimateFeeRequest { target_blocks }).await;
        Ok(answer.map_err(refused(SERVICE))?.into_inner())
    }

    /// Streams connected and disconnected blocks from after a cursor, without an end.
    pub async fn watch_blocks(
        &self,
        after_cursor: u64,
    ) -> Result<BoxStream<'static, Result<BlockEvent, CallError>>, CallError> {
        let request = pb::WatchBlocksRequest { after_cursor };
        let answer = self.streaming.clone().watch_blocks(request).await.map_err(refused(SERVICE))?;
        Ok(answer.into_inner().map(|event| event.map_err(refused(SERVICE))).boxed())
    }
}
