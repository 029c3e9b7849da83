//! Asks the services the gateway needs for a sign of life, for the operators' eyes, and looks how the brakes stand, which nobody else
//! may need to know for long. Readiness does not depend on it: a gateway whose model serving is away still takes events, gives money
//! back and answers questions.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::tasks::Shutdown;

use crate::brakes::Brakes;
use crate::ports::{AuditLog, Payments, Serving};
use crate::telemetry;

/// How often.
const PERIOD: Duration = Duration::from_secs(10);

/// Watches until shutdown.
pub async fn run(
    payments: Arc<dyn Payments>,
    serving: Arc<dyn Serving>,
    audit: Arc<dyn AuditLog>,
    brakes: Brakes,
    shutdown: Shutdown,
) {
    loop {
        let (node, models, log) = tokio::join!(payments.node(), serving.list_models(), audit.log());
        telemetry::dependency("payment", node.as_ref().map(drop));
        telemetry::dependency("model-serving", models.as_ref().map(drop));
        telemetry::dependency("audit", log.as_ref().map(drop));
        if let Err(error) = brakes.look().await {
            tracing::debug!(error = %error, "the brakes cannot be read");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
        }
    }
}
