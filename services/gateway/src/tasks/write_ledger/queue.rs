//! The bounded queue in front of the writer: full means refused, never waited for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::riders::{Fit, Rider};
use crate::domain::ledger::{Operation, Verdict};
use crate::store::ledger::Submission;

/// About what an operation takes in memory besides its note and lines.
const BYTES_OF_AN_OPERATION: usize = 512;

/// Bounds of the queue and of a batch.
#[derive(Debug, Clone, Copy)]
pub struct WriterLimits {
    /// Most operations waiting.
    pub queue_capacity: usize,
    /// Most bytes waiting or being written.
    pub max_queued_bytes: u32,
    /// Most operations of one transaction.
    pub max_batch_operations: usize,
    /// A transaction takes no more operations once it has these bytes.
    pub max_batch_bytes: usize,
    /// An operation that has waited longer is refused instead of written.
    pub max_age: Duration,
}

impl Default for WriterLimits {
    /// A queue of four full batches. One batch takes well below the statement time limit.
    fn default() -> Self {
        Self {
            queue_capacity: 16_384,
            max_queued_bytes: 32 * 1024 * 1024,
            max_batch_operations: 4096,
            max_batch_bytes: 4 * 1024 * 1024,
            max_age: Duration::from_secs(5),
        }
    }
}

/// Why an operation has no verdict. Submitting it again under its request id is safe and right in every case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// Too many operations wait. Nothing was done.
    #[error("too many ledger operations are waiting")]
    Overloaded,
    /// The writer takes no more operations. Nothing was done.
    #[error("the ledger's writer is shutting down")]
    ShuttingDown,
    /// The database did not take it. Nothing was done.
    #[error("the ledger could not be written")]
    Failed(#[source] Arc<StoreError>),
    /// The database did not answer in time to know, or the writer was killed.
    #[error("the operation may or may not be applied: submit it again")]
    Unknown(#[source] Option<Arc<StoreError>>),
}

impl SubmitError {
    pub(super) fn of(error: &Arc<StoreError>, is_unclear: bool) -> Self {
        if is_unclear { Self::Unknown(Some(Arc::clone(error))) } else { Self::Failed(Arc::clone(error)) }
    }
}

/// What is answered to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// To an operation, and to what rides with it.
    Operation(Verdict),
    /// To a change that rides alone.
    Change(Fit),
}

impl Answer {
    /// Whether it leaves a trace in the tables.
    pub(super) const fn writes(&self) -> bool {
        matches!(self, Self::Operation(Verdict::Applied(_)) | Self::Change(Fit::Fits))
    }

    /// The name in metrics.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Operation(verdict) => verdict.as_str(),
            Self::Change(Fit::Fits) => "applied",
            Self::Change(Fit::Written) => "duplicate",
            Self::Change(Fit::Moved) => "moved",
        }
    }
}

/// What waits for its answer: an operation, a change, or both.
#[derive(Debug)]
pub(super) struct Order<Row> {
    pub(super) submission: Option<Submission>,
    pub(super) rider: Option<Row>,
    pub(super) since: Instant,
    pub(super) bytes: usize,
    reply: oneshot::Sender<Result<Answer, SubmitError>>,
    _permit: OwnedSemaphorePermit,
}

impl<Row> Order<Row> {
    /// A caller that went away finds its answer by submitting again.
    pub(super) fn answer(self, answer: Result<Answer, SubmitError>) {
        let _ = self.reply.send(answer);
    }

    pub(super) fn kind(&self) -> &'static str {
        self.submission.as_ref().map_or("change", |submission| submission.operation.kind().as_str())
    }
}

/// Hands operations to the writer. Cheap to clone.
#[derive(Debug)]
pub struct LedgerHandle<Row = std::convert::Infallible> {
    queue: mpsc::Sender<Order<Row>>,
    bytes: Arc<Semaphore>,
}

impl<Row> Clone for LedgerHandle<Row> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), bytes: Arc::clone(&self.bytes) }
    }
}

impl<Row: Rider> LedgerHandle<Row> {
    /// Applies an operation and answers once that is durable.
    ///
    /// # Errors
    /// [`SubmitError`]; the operation stays queued when the caller stops waiting.
    pub async fn submit(&self, operation: Operation) -> Result<Verdict, SubmitError> {
        self.verdict(operation, None).await
    }

    /// Applies an operation together with a row that changes in the same commit, or neither.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn submit_with(&self, operation: Operation, rider: Row) -> Result<Verdict, SubmitError> {
        self.verdict(operation, Some(rider)).await
    }

    /// Writes a change without an operation. True once it is durable, false if the row has moved on: nothing was written then.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub async fn write(&self, rider: Row) -> Result<bool, SubmitError> {
        match self.enqueue(None, Some(rider)).await? {
            Answer::Change(fit) => Ok(fit != Fit::Moved),
            Answer::Operation(_) => Err(SubmitError::Unknown(None)),
        }
    }

    async fn verdict(&self, operation: Operation, rider: Option<Row>) -> Result<Verdict, SubmitError> {
        match self.enqueue(Some(operation), rider).await? {
            Answer::Operation(verdict) => Ok(verdict),
            Answer::Change(_) => Err(SubmitError::Unknown(None)),
        }
    }

    async fn enqueue(&self, operation: Option<Operation>, rider: Option<Row>) -> Result<Answer, SubmitError> {
        let of_operation =
            |operation: &Operation| BYTES_OF_AN_OPERATION.saturating_add(operation.note().as_str().len());
        let bytes =
            operation.as_ref().map_or(0, of_operation).saturating_add(rider.as_ref().map_or(0, Rider::bytes));
        let permits = u32::try_from(bytes).map_err(|_| SubmitError::Overloaded)?;
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(permits);
        let (reply, answer) = oneshot::channel();
        let order = Order {
            submission: operation.map(Submission::new),
            rider,
            since: Instant::now(),
            bytes,
            reply,
            _permit: permit.map_err(|_| SubmitError::Overloaded)?,
        };
        self.queue.try_send(order).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => SubmitError::ShuttingDown,
        })?;
        answer.await.unwrap_or(Err(SubmitError::Unknown(None)))
    }
}

/// An empty queue.
pub(super) fn new<Row>(limits: WriterLimits) -> (LedgerHandle<Row>, mpsc::Receiver<Order<Row>>) {
    let (sender, queue) = mpsc::channel(limits.queue_capacity);
    let bytes = usize::try_from(limits.max_queued_bytes).unwrap_or(Semaphore::MAX_PERMITS);
    (LedgerHandle { queue: sender, bytes: Arc::new(Semaphore::new(bytes)) }, queue)
}
