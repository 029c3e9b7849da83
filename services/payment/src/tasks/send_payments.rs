//! Hands durable intents to the node, at once when woken, and again while an outcome is unknown.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::tasks::Shutdown;

use crate::app::App;

/// How often payments of unknown outcome are looked at.
const INTERVAL: Duration = Duration::from_secs(5);

/// Runs until the stop.
pub async fn run(app: Arc<App>, shutdown: Shutdown) {
    loop {
        if let Err(error) = app.payments.send_pending().await {
            tracing::warn!(%error, "sending round failed, trying again");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = app.payments.woken() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
