//! The guard: gives money back before its deadline, asking nobody, and repeats what a crash cut off.

use std::sync::Arc;
use std::time::Instant;

use ailayer_platform::clock;
use ailayer_platform::health::Component;
use ailayer_platform::tasks::Shutdown;

use crate::app::App;
use crate::error::ServiceError;
use crate::service::sync_gate::TipSeen;
use crate::store::node_tip;
use crate::telemetry;

/// Runs until the stop. Ends with an error only when the rows cannot be trusted or written for good.
pub async fn run(app: Arc<App>, node_health: Component, shutdown: Shutdown) -> Result<(), ServiceError> {
    let mut timer = tokio::time::interval(app.guard_interval);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut quiet_since: Option<Instant> = None;
    // Written anew at each start: others look at the gate, too, and may have seen another tip by now.
    let mut kept_tip = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = timer.tick() => {}
        }
        let status = app.node.status();
        telemetry::tip(status.tip.height);
        let synced = app.gate.check(&status, clock::now_s());
        match &synced {
            Ok(()) => node_health.set_ready(),
            Err(error) => node_health.set_unready(error.to_string()),
        }
        let quiet = synced.is_ok() && !app.node.has_event();
        quiet_since = if quiet { quiet_since.or_else(|| Some(Instant::now())) } else { None };
        let drained = quiet_since.is_some_and(|since| since.elapsed() >= app.lost_settle_time);
        match round(&app, drained, &mut kept_tip).await {
            Ok(()) => {}
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => tracing::warn!(%error, "guard round failed, trying again"),
        }
    }
}

async fn round(app: &App, drained: bool, kept_tip: &mut Option<TipSeen>) -> Result<(), ServiceError> {
    app.holds.tick(clock::now_s(), drained).await?;
    let seen = app.gate.tip_seen();
    if let Some(tip) = seen.filter(|_| seen != *kept_tip) {
        node_tip::put(&app.rows, tip).await?;
        *kept_tip = seen;
    }
    let counts = app.holds.counts().await?;
    telemetry::held(counts.accepted, counts.held.msat());
    telemetry::blocks_left(counts.nearest_deadline, app.node.status().tip.height);
    Ok(())
}
