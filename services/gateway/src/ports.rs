//! What the gateway needs of others. Adapters speak gRPC; tests put fakes here.
//!
//! Every call may be repeated: the services behind the ports are idempotent, and the gateway repeats after crashes.

use ailayer_client::CallError;
use ailayer_client::audit::{Appended, EntryProof, Log};
use ailayer_client::payment::{Funds, HoldInvoice, Journal, Node, PaymentEvent};
use ailayer_client::serving::{EmbedCall, Embedded, InferCall, Inferred, Model, Tokenized};
use ailayer_primitives::{AmountMsat, Digest, JobId};
use ailayer_seal::{ResultKey, SharedSecret};
use ailayer_tlog::NodeHash;
use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::domain::ledger::{Operation, Verdict};
use crate::domain::release::ReleaseReason;
use crate::jobs::JobRow;
use crate::tasks::write_ledger::{LedgerHandle, SubmitError};

/// Events in cursor order, without an end.
pub type PaymentEvents = BoxStream<'static, Result<PaymentEvent, CallError>>;

/// The Lightning node's keeper. A job's id is also its invoice's, and so is a deposit's.
#[async_trait]
pub trait Payments: Send + Sync + 'static {
    /// Describes the node: tip, sync, identity.
    async fn node(&self) -> Result<Node, CallError>;
    /// Makes the job's hold invoice, or answers the one that was made.
    async fn create_hold_invoice(
        &self,
        job_id: JobId,
        amount: AmountMsat,
        description_hash: Digest,
        expiry_s: u32,
    ) -> Result<HoldInvoice, CallError>;
    /// Derives what seals the job's answer, from the invoice's preimage and what was agreed with the buyer. Refused with
    /// INVALID_STATE unless money is locked to the invoice.
    async fn seal_key(&self, job_id: JobId, shared: &SharedSecret) -> Result<ResultKey, CallError>;
    /// Asks to take the locked money. Proves nothing: the event does.
    async fn claim(&self, job_id: JobId) -> Result<HoldInvoice, CallError>;
    /// Asks to give money back, now and whenever more comes.
    async fn release(&self, job_id: JobId, reason: ReleaseReason) -> Result<HoldInvoice, CallError>;
    /// Sums up everything that ever came in and went out, as of one event.
    async fn journal(&self) -> Result<Journal, CallError>;
    /// Compares what the node's channels hold with the payment service's rows.
    async fn compare_funds(&self) -> Result<Funds, CallError>;
    /// Accepts exactly this residue of [`Self::compare_funds`], for good.
    async fn accept_funds_residue(&self, residue_msat: i64, note: String) -> Result<(), CallError>;
    /// Follows the event log from after a cursor.
    async fn watch(&self, after_cursor: u64) -> Result<PaymentEvents, CallError>;
}

/// Runs models.
#[async_trait]
pub trait Serving: Send + Sync + 'static {
    /// Lists what is loaded.
    async fn list_models(&self) -> Result<Vec<Model>, CallError>;
    /// Counts tokens exactly as [`Self::embed`] would.
    async fn tokenize(&self, call: &EmbedCall) -> Result<Tokenized, CallError>;
    /// Computes embeddings.
    async fn embed(&self, call: &EmbedCall) -> Result<Embedded, CallError>;
    /// Runs a tensor model.
    async fn infer(&self, call: &InferCall) -> Result<Inferred, CallError>;
}

/// Writes what changes of prepaid jobs: operations of the ledger and rows, together or not at all. The real one is the
/// coalescing writer ([`LedgerHandle`]); without a database a gateway's own cost is measured.
#[async_trait]
pub trait Books: Send + Sync + 'static {
    /// Applies an operation together with a row; durable when it is answered.
    async fn apply(&self, operation: Operation, row: JobRow) -> Result<Verdict, SubmitError>;
    /// Writes a row alone; false if it has moved on.
    async fn write(&self, row: JobRow) -> Result<bool, SubmitError>;
}

#[async_trait]
impl Books for LedgerHandle<JobRow> {
    async fn apply(&self, operation: Operation, row: JobRow) -> Result<Verdict, SubmitError> {
        self.submit_with(operation, row).await
    }

    async fn write(&self, row: JobRow) -> Result<bool, SubmitError> {
        self.write(row).await
    }
}

/// Keeps the transparency log.
#[async_trait]
pub trait AuditLog: Send + Sync + 'static {
    /// Describes the log.
    async fn log(&self) -> Result<Log, CallError>;
    /// Appends an entry, once however often it is sent.
    async fn append(&self, entry: &[u8]) -> Result<Appended, CallError>;
    /// Tells how far an entry has come, if possible together with a second one.
    async fn entry_proof(&self, leaf_hash: NodeHash, with: Option<NodeHash>)
    -> Result<EntryProof, CallError>;
}
