//! Looks from time to time whether the node's channels hold what the rows say.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::tasks::Shutdown;

use crate::app::App;
use crate::error::ServiceError;
use crate::telemetry;

/// How often.
const INTERVAL: Duration = Duration::from_secs(30);
/// How often until the comparison has begun.
const SOON: Duration = Duration::from_secs(1);
/// Looks in a row that must find a difference, whatever it is, before it is a verdict: what is in motion settles between two, and what
/// is being drained grows.
const LOOKS: u32 = 3;
/// How long between those.
const AGAIN: Duration = Duration::from_secs(5);

/// Runs until the stop. Ends with an error only when the rows cannot be trusted or written for good.
pub async fn run(app: Arc<App>, shutdown: Shutdown) -> Result<(), ServiceError> {
    let mut differing = 0_u32;
    loop {
        let pause = match app.funds.observe().await {
            Ok(Some(comparison)) => {
                differing = if comparison.agrees() { 0 } else { differing.saturating_add(1) };
                let is_verdict = differing == 0 || differing >= LOOKS;
                if is_verdict {
                    app.funds.judge(&comparison);
                    telemetry::funds_residue(comparison.residue_msat);
                }
                if is_verdict { INTERVAL } else { AGAIN }
            }
            Ok(None) => SOON,
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the node's funds were not looked at");
                INTERVAL
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}
