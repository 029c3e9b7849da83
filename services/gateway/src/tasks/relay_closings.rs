//! Row 12: appends closing entries to the audit log until it has taken them. What waits is appended at once, so that the log
//! sequences it in one commit, and stored in one of ours.

use std::time::Duration;

use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::JobId;
use ailayer_store::outbox::OutboxItem;
use ailayer_store::{Store, StoreError, outbox};
use futures::future::join_all;
use uuid::Uuid;

use crate::audit_log::{Log, LogError};
use crate::crash_points::{self, CrashPoints};
use crate::jobs::CLOSING;
use crate::signals::Signals;
use crate::store::{jobs, ledger};
use crate::telemetry;

/// How often the outbox is looked at when no signal comes.
const POLL: Duration = Duration::from_millis(500);
/// How long items are waited for that are logged together with the first: nobody waits for a closing entry.
const GATHER: Duration = Duration::from_millis(50);
/// Items taken at once. No two are of one job.
const BATCH: u32 = 64;
/// How long the log may take for one entry.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest an item is put off.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Carries closing entries from the outbox to the log.
pub struct RelayClosings {
    /// The database.
    pub store: Store,
    /// The log.
    pub log: Log,
    /// Wakes this task.
    pub signals: Signals,
    /// Where simulations halt.
    pub crash_points: CrashPoints,
}

impl RelayClosings {
    /// Relays until shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        loop {
            let more = match self.relay().await {
                Ok(more) => more,
                Err(error) => {
                    tracing::warn!(error = %error, "closing entries cannot be relayed");
                    false
                }
            };
            if more {
                continue;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.signals.work_to_relay() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(GATHER) => {}
            }
        }
    }

    /// Relays one batch; true if there may be more.
    async fn relay(&self) -> Result<bool, StoreError> {
        let items = outbox::due(self.store.pool(), BATCH).await?;
        let appended = join_all(items.iter().map(|item| self.append(item))).await;
        let mut logged: Vec<Logged> = items.iter().zip(appended.iter()).filter_map(logged).collect();
        // Rows are locked in the order of their ids.
        logged.sort_by_key(|(_, (job_id, _))| *job_id);
        if !logged.is_empty() {
            self.crash_points.pass(crash_points::CLOSED).await;
            self.store(&logged).await?;
        }
        for (item, appended) in items.iter().zip(appended) {
            match appended {
                Ok(_) => {}
                Err(NotAppended::Unknown) => {
                    tracing::error!(kind = item.kind, key = item.key, "unknown outbox item; put off");
                    outbox::retry_later(self.store.pool(), item.id, MAX_DELAY).await?;
                }
                Err(NotAppended::Log(job_id, error)) => {
                    telemetry::step_failed(job_id, "append_closing", &error);
                    outbox::retry_later(self.store.pool(), item.id, delay(item.attempts)).await?;
                }
            }
        }
        Ok(u32::try_from(items.len()).is_ok_and(|count| count == BATCH))
    }

    async fn append(&self, item: &OutboxItem) -> Result<(JobId, u64), NotAppended> {
        let (CLOSING, Ok(job_id)) = (item.kind.as_str(), item.key.parse::<JobId>()) else {
            return Err(NotAppended::Unknown);
        };
        let appended = tokio::time::timeout(PATIENCE, self.log.append(&item.payload)).await;
        let appended = appended.unwrap_or_else(|_elapsed| Err(LogError::Late));
        let appended = appended.map_err(|error| NotAppended::Log(job_id, error))?;
        Ok((job_id, appended.leaf_index))
    }

    /// The places in the log, and that the items are done, in one commit.
    async fn store(&self, logged: &[Logged]) -> Result<(), StoreError> {
        let (ids, indices): (Vec<Uuid>, Vec<(JobId, u64)>) = logged.iter().copied().unzip();
        let mut tx = ledger::begin(&self.store).await?;
        jobs::store_closing_indices_in_tx(&mut tx, &indices).await?;
        outbox::done_in_tx(&mut tx, &ids).await?;
        Ok(tx.commit().await?)
    }
}

/// An item of the outbox whose entry is in the log: the job's, at that index.
type Logged = (Uuid, (JobId, u64));

/// Why an item waits longer.
enum NotAppended {
    /// It is no closing entry.
    Unknown,
    /// The log did not take the job's entry.
    Log(JobId, LogError),
}

fn logged((item, appended): (&OutboxItem, &Result<(JobId, u64), NotAppended>)) -> Option<Logged> {
    appended.as_ref().ok().map(|place| (item.id, *place))
}

fn delay(attempts: u32) -> Duration {
    Duration::from_millis(500).saturating_mul(2u32.saturating_pow(attempts.min(10))).min(MAX_DELAY)
}
