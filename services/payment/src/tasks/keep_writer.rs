//! Keeps the right to write, or stops the service when another process has it.
//!
//! The node goes on while the database is away: its own rules give held money back in time.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::tasks::Shutdown;
use ailayer_store::StoreError;

use crate::app::App;

/// How often the lock's session is looked at. Writes are fenced in any case.
const INTERVAL: Duration = Duration::from_secs(5);

/// Runs until the stop. Ends with an error when another process became the writer.
pub async fn run(app: Arc<App>, shutdown: Shutdown) -> Result<(), StoreError> {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        match app.rows.keep_writer().await {
            Ok(()) => {}
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, "writer's session lost, taking it again")
            }
            Err(error) => return Err(error),
        }
    }
}
