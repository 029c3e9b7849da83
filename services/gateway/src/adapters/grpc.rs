//! The ports over gRPC.

use ailayer_client::audit::{Appended, EntryProof, Log};
use ailayer_client::payment::{Funds, HoldInvoice, Journal, Node};
use ailayer_client::serving::{EmbedCall, Embedded, InferCall, Inferred, Model, Tokenized};
use ailayer_client::{AuditClient, CallError, PaymentClient, ServingClient};
use ailayer_primitives::{AmountMsat, Digest, JobId};
use ailayer_seal::{ResultKey, SharedSecret};
use ailayer_tlog::NodeHash;
use async_trait::async_trait;

use crate::domain::release::ReleaseReason;
use crate::ports::{AuditLog, PaymentEvents, Payments, Serving};

#[async_trait]
impl Payments for PaymentClient {
    async fn node(&self) -> Result<Node, CallError> {
        self.node().await
    }

    async fn create_hold_invoice(
        &self,
        job_id: JobId,
        amount: AmountMsat,
        description_hash: Digest,
        expiry_s: u32,
    ) -> Result<HoldInvoice, CallError> {
        self.create_hold_invoice(job_id.uuid(), amount, description_hash, expiry_s).await
    }

    async fn seal_key(&self, job_id: JobId, shared: &SharedSecret) -> Result<ResultKey, CallError> {
        self.derive_seal_key(job_id.uuid(), shared).await
    }

    async fn claim(&self, job_id: JobId) -> Result<HoldInvoice, CallError> {
        self.claim_hold_invoice(job_id.uuid()).await
    }

    async fn release(&self, job_id: JobId, reason: ReleaseReason) -> Result<HoldInvoice, CallError> {
        self.release_hold_invoice(job_id.uuid(), reason.as_str()).await
    }

    async fn journal(&self) -> Result<Journal, CallError> {
        self.journal().await
    }

    async fn compare_funds(&self) -> Result<Funds, CallError> {
        self.compare_funds().await
    }

    async fn accept_funds_residue(&self, residue_msat: i64, note: String) -> Result<(), CallError> {
        self.accept_funds_residue(residue_msat, note).await
    }

    async fn watch(&self, after_cursor: u64) -> Result<PaymentEvents, CallError> {
        self.watch_events(after_cursor).await
    }
}

#[async_trait]
impl Serving for ServingClient {
    async fn list_models(&self) -> Result<Vec<Model>, CallError> {
        self.list_models().await
    }

    async fn tokenize(&self, call: &EmbedCall) -> Result<Tokenized, CallError> {
        self.tokenize(call).await
    }

    async fn embed(&self, call: &EmbedCall) -> Result<Embedded, CallError> {
        self.embed(call).await
    }

    async fn infer(&self, call: &InferCall) -> Result<Inferred, CallError> {
        self.infer(call).await
    }
}

#[async_trait]
impl AuditLog for AuditClient {
    async fn log(&self) -> Result<Log, CallError> {
        self.log().await
    }

    async fn append(&self, entry: &[u8]) -> Result<Appended, CallError> {
        self.append(entry).await
    }

    async fn entry_proof(
        &self,
        leaf_hash: NodeHash,
        with: Option<NodeHash>,
    ) -> Result<EntryProof, CallError> {
        self.entry_proof(leaf_hash, with).await
    }
}
