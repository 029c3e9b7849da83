//! Erases inputs and outputs after their retention.

use std::time::Duration;

use ailayer_platform::tasks::Shutdown;
use ailayer_store::{Store, StoreError};

use crate::store::clock::Clock;
use crate::store::retention;
use crate::telemetry;

/// Jobs erased in one statement.
const BATCH: u32 = 500;

/// Erases until shutdown; looks every tenth of the retention, every minute at most and every 100 ms at least.
pub async fn run(store: Store, clock: Clock, kept_for: Duration, shutdown: Shutdown) {
    let pause = (kept_for / 10).clamp(Duration::from_millis(100), Duration::from_secs(60));
    loop {
        let full = match erase(&store, &clock, kept_for).await {
            Ok(0) => false,
            Ok(jobs) => {
                telemetry::erased(jobs);
                jobs >= u64::from(BATCH)
            }
            Err(error) => {
                tracing::warn!(error = %error, "results cannot be erased");
                false
            }
        };
        if full {
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One look. What is erased does not come back, so nothing is while time may not have passed.
async fn erase(store: &Store, clock: &Clock, kept_for: Duration) -> Result<u64, StoreError> {
    if clock.has_jumped().await? {
        return Ok(0);
    }
    retention::erase(store, kept_for, BATCH).await
}
