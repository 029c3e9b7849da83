//! `ailayer.indexer.v1.IndexerService`. Each call has a file of its own; protobuf types stay in here.

use std::sync::Arc;

use ailayer_platform::error::Failure;
use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::Network;
use ailayer_proto::ailayer::indexer::v1 as pb;
use futures::stream::BoxStream;
use pb::indexer_service_server::IndexerService;
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use crate::ports::ElectrumSource;
use crate::store::ChainStore;
use crate::sync::SyncMonitor;
use crate::verifier::Verifier;

mod broadcast;
mod convert;
mod estimate_fee;
mod get_tip;
mod get_transaction;
mod list_headers;
mod list_script_transactions;
mod watch_blocks;

/// What the calls need.
pub struct IndexerRpc {
    /// The network followed.
    pub network: Network,
    /// The chain.
    pub store: ChainStore,
    /// How far the follower is.
    pub sync: SyncMonitor,
    /// The server, for what needs no proof.
    pub source: Arc<dyn ElectrumSource>,
    /// The server, for what does.
    pub verifier: Verifier,
    /// One permit a stream: the server's own limit of calls in flight ends when a stream begins.
    pub watchers: Arc<Semaphore>,
    /// Ends streams.
    pub shutdown: Shutdown,
}

/// Turns a handler's outcome into what tonic wants.
fn respond<T>(outcome: Result<T, Failure>) -> Result<Response<T>, Status> {
    outcome.map(Response::new).map_err(Status::from)
}

#[tonic::async_trait]
impl IndexerService for IndexerRpc {
    async fn get_tip(&self, _: Request<pb::GetTipRequest>) -> Result<Response<pb::GetTipResponse>, Status> {
        respond(get_tip::handle(self).await)
    }

    async fn list_headers(
        &self,
        request: Request<pb::ListHeadersRequest>,
    ) -> Result<Response<pb::ListHeadersResponse>, Status> {
        respond(list_headers::handle(self, request.into_inner()).await)
    }

    async fn get_transaction(
        &self,
        request: Request<pb::GetTransactionRequest>,
    ) -> Result<Response<pb::GetTransactionResponse>, Status> {
        respond(get_transaction::handle(self, request.into_inner()).await)
    }

    async fn list_script_transactions(
        &self,
        request: Request<pb::ListScriptTransactionsRequest>,
    ) -> Result<Response<pb::ListScriptTransactionsResponse>, Status> {
        respond(list_script_transactions::handle(self, request.into_inner()).await)
    }

    async fn broadcast(
        &self,
        request: Request<pb::BroadcastRequest>,
    ) -> Result<Response<pb::BroadcastResponse>, Status> {
        respond(broadcast::handle(self, request.into_inner()).await)
    }

    async fn estimate_fee(
        &self,
        request: Request<pb::EstimateFeeRequest>,
    ) -> Result<Response<pb::EstimateFeeResponse>, Status> {
        respond(estimate_fee::handle(self, request.into_inner()).await)
    }

    type WatchBlocksStream = BoxStream<'static, Result<pb::WatchBlocksResponse, Status>>;

    async fn watch_blocks(
        &self,
        request: Request<pb::WatchBlocksRequest>,
    ) -> Result<Response<Self::WatchBlocksStream>, Status> {
        respond(watch_blocks::handle(self, request.into_inner()).await)
    }
}
