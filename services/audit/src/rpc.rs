//! `ailayer.audit.v1.AuditService`, one call a file.

use std::sync::Arc;

use ailayer_proto::ailayer::audit::v1 as pb;
use ailayer_proto::ailayer::audit::v1::audit_service_server::AuditService;
use ailayer_store::Store;
use ailayer_tlog::note::Signer;
use async_trait::async_trait;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::ports::ChainView;
use crate::store::checkpoint::StoredCheckpoint;
use crate::store::log::TreeHead;
use crate::tasks::anchor_checkpoints::WalletView;
use crate::tasks::sequence_entries::SequencerHandle;

mod append_entry;
mod convert;
mod get_checkpoint;
mod get_consistency_proof;
mod get_entry;
mod get_entry_proof;
mod get_inclusion_proof;
mod get_log;
mod list_anchors;

/// What the calls share.
pub struct AuditRpc {
    /// The database.
    pub store: Store,
    /// The log's key.
    pub signer: Arc<Signer>,
    /// Takes entries.
    pub sequencer: SequencerHandle,
    /// How far the log has come.
    pub head: watch::Receiver<TreeHead>,
    /// The newest checkpoint.
    pub published: watch::Receiver<Arc<StoredCheckpoint>>,
    /// Wallet and tip as the anchoring task sees them.
    pub wallet: watch::Receiver<WalletView>,
    /// The chain, for the headers of a proof.
    pub chain: Arc<dyn ChainView>,
    /// Confirmations that make an anchor final.
    pub anchor_confirmations: u32,
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl AuditService for AuditRpc {
    async fn get_log(&self, _: Request<pb::GetLogRequest>) -> Answer<pb::GetLogResponse> {
        Ok(Response::new(get_log::handle(self)))
    }

    async fn append_entry(
        &self,
        request: Request<pb::AppendEntryRequest>,
    ) -> Answer<pb::AppendEntryResponse> {
        Ok(Response::new(append_entry::handle(self, request.into_inner()).await?))
    }

    async fn get_entry(&self, request: Request<pb::GetEntryRequest>) -> Answer<pb::GetEntryResponse> {
        Ok(Response::new(get_entry::handle(self, request.into_inner()).await?))
    }

    async fn get_checkpoint(
        &self,
        _: Request<pb::GetCheckpointRequest>,
    ) -> Answer<pb::GetCheckpointResponse> {
        Ok(Response::new(get_checkpoint::handle(self)))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<pb::GetInclusionProofRequest>,
    ) -> Answer<pb::GetInclusionProofResponse> {
        Ok(Response::new(get_inclusion_proof::handle(self, request.into_inner()).await?))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<pb::GetConsistencyProofRequest>,
    ) -> Answer<pb::GetConsistencyProofResponse> {
        Ok(Response::new(get_consistency_proof::handle(self, request.into_inner()).await?))
    }

    async fn get_entry_proof(
        &self,
        request: Request<pb::GetEntryProofRequest>,
    ) -> Answer<pb::GetEntryProofResponse> {
        Ok(Response::new(get_entry_proof::handle(self, request.into_inner()).await?))
    }

    async fn list_anchors(
        &self,
        request: Request<pb::ListAnchorsRequest>,
    ) -> Answer<pb::ListAnchorsResponse> {
        Ok(Response::new(list_anchors::handle(self, request.into_inner()).await?))
    }
}
