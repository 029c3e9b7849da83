//! The bounded queue in front of the sequencer: full means refused, never waited for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::SequenceError;
use crate::domain::entry::{Entry, Placement};

/// Bounds of the queue and of a batch.
#[derive(Debug, Clone, Copy)]
pub struct SequencerLimits {
    /// Most appends waiting.
    pub queue_capacity: usize,
    /// Most bytes waiting.
    pub max_queued_bytes: u32,
    /// Most entries of one transaction.
    pub max_batch_entries: usize,
}

/// Why an append was not answered with an index. The entry may still be sequenced: appending it again is safe and
/// right in every case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The queue is full.
    #[error("too many appends are waiting")]
    Overloaded,
    /// The service takes no new entries.
    #[error("the log is shutting down")]
    ShuttingDown,
    /// The database did not answer, or not in time to know.
    #[error("the entry may or may not be stored: append it again")]
    Storage(#[source] Arc<SequenceError>),
}

/// An entry that waits for its index.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) entry: Entry,
    pub(super) reply: oneshot::Sender<Result<Placement, AppendError>>,
    _bytes: OwnedSemaphorePermit,
}

/// Hands entries to the sequencer. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SequencerHandle {
    queue: mpsc::Sender<Append>,
    bytes: Arc<Semaphore>,
}

impl SequencerHandle {
    /// Appends an entry and returns once it is durable.
    ///
    /// # Errors
    /// [`AppendError`]; the entry stays queued when the caller stops waiting.
    pub async fn append(&self, entry: Entry) -> Result<Placement, AppendError> {
        let length = u32::try_from(entry.bytes().len()).map_err(|_| AppendError::Overloaded)?;
        let permit = Arc::clone(&self.bytes).try_acquire_many_owned(length);
        let permit = permit.map_err(|_| AppendError::Overloaded)?;
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(Append { entry, reply, _bytes: permit }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => AppendError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => AppendError::ShuttingDown,
        })?;
        answer.await.unwrap_or(Err(AppendError::ShuttingDown))
    }
}

/// An empty queue.
pub(super) fn new(limits: SequencerLimits) -> (SequencerHandle, mpsc::Receiver<Append>) {
    let (sender, queue) = mpsc::channel(limits.queue_capacity);
    let bytes = usize::try_from(limits.max_queued_bytes).unwrap_or(Semaphore::MAX_PERMITS);
    (SequencerHandle { queue: sender, bytes: Arc::new(Semaphore::new(bytes)) }, queue)
}
