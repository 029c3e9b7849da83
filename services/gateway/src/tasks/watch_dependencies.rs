//! Asks the services the gateway needs for a sign of life, for the operators' eyes. Readiness does not depend on it: a
//! gateway whose model serving is away still takes events, gives money back and answers questions.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::tasks::Shutdown;

use crate::ports::{AuditLog, Payments, Serving};
use crate::telemetry;

/// How often.
const PERIOD: Duration = Duration::from_secs(10);

/// Watches until shutdown.
pub async fn run(
    payments: Arc<dyn Payments>,
    serving: Arc<dyn Serving>,
    audit: Arc<dyn AuditLog>,
    shutdown: Shutdown,
) {
    loop {
        let (node, models, log) = tokio::join!(payments.node(), serving.list_models(), audit.log());
        telemetry::dependency("payment", node.as_ref().map(drop));
        telemetry::dependency("model-serving", models.as_ref().map(drop));
        telemetry::dependency("audit", log.as_ref().map(drop));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}
