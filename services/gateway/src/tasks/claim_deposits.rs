//! Asks for the money of deposits that are being taken, until an event says how that ended.

use std::time::Duration;

use ailayer_platform::tasks::Shutdown;

use crate::deposits::Deposits;
use crate::store::deposits;
use crate::telemetry;

/// How often it is looked without a signal: a claim without an event is asked for again.
const POLL: Duration = Duration::from_secs(2);
/// The most that is asked for at a time.
const BATCH: u32 = 64;

/// Runs until the shutdown.
pub async fn run(all: Deposits, shutdown: Shutdown) {
    loop {
        match deposits::taking(all.store.pool(), BATCH).await {
            Ok(taking) => {
                for deposit_id in taking {
                    if let Err(error) = all.claim(deposit_id).await {
                        telemetry::deposit_failed(deposit_id, "claim", &error);
                    }
                }
            }
            Err(error) => tracing::warn!(error = %error, "deposits cannot be looked for"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = all.signals.work_to_claim() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}
