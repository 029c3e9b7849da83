//! Keeps the readiness of the database up to date.

use std::time::Duration;

use ailayer_platform::health::Component;
use ailayer_platform::tasks::Shutdown;
use ailayer_store::Store;

/// Time between two pings.
const INTERVAL: Duration = Duration::from_secs(5);

/// Runs until the shutdown.
pub async fn run(store: Store, health: Component, shutdown: Shutdown) {
    loop {
        match store.ping().await {
            Ok(()) => health.set_ready(),
            Err(error) => health.set_unready(error.to_string()),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
