//! Row 12: appends closing entries to the audit log until it has taken them.

use std::time::Duration;

use ailayer_platform::tasks::Shutdown;
use ailayer_primitives::JobId;
use ailayer_store::outbox::OutboxItem;
use ailayer_store::{Store, StoreError, outbox};

use crate::audit_log::{Log, LogError};
use crate::crash_points::{self, CrashPoints};
use crate::jobs::CLOSING;
use crate::signals::Signals;
use crate::store::jobs;
use crate::telemetry;

/// How often the outbox is looked at when no signal comes.
const POLL: Duration = Duration::from_millis(500);
/// Items taken at once.
const BATCH: u32 = 32;
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
        }
    }

    /// Relays one batch; true if there may be more.
    async fn relay(&self) -> Result<bool, StoreError> {
        let items = outbox::due(self.store.pool(), BATCH).await?;
        for item in &items {
            self.deliver(item).await?;
        }
        Ok(u32::try_from(items.len()).is_ok_and(|count| count == BATCH))
    }

    async fn deliver(&self, item: &OutboxItem) -> Result<(), StoreError> {
        let pool = self.store.pool();
        let (CLOSING, Ok(job_id)) = (item.kind.as_str(), item.key.parse::<JobId>()) else {
            tracing::error!(kind = item.kind, key = item.key, "unknown outbox item; put off");
            return outbox::retry_later(pool, item.id, MAX_DELAY).await;
        };
        let appended = tokio::time::timeout(PATIENCE, self.log.append(&item.payload)).await;
        match appended.unwrap_or_else(|_elapsed| Err(LogError::Late)) {
            Ok(appended) => {
                self.crash_points.pass(crash_points::CLOSED).await;
                jobs::store_closing_index(pool, job_id, appended.leaf_index).await?;
                outbox::done(pool, item.id).await
            }
            Err(error) => {
                telemetry::step_failed(job_id, "append_closing", &error);
                outbox::retry_later(pool, item.id, delay(item.attempts)).await
            }
        }
    }
}

fn delay(attempts: u32) -> Duration {
    Duration::from_millis(500).saturating_mul(2u32.saturating_pow(attempts.min(10))).min(MAX_DELAY)
}
