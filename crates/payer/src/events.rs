//! Takes note of how payments end, and lets the node's event queue go on.

use std::collections::HashMap;
use std::sync::Arc;

use ailayer_primitives::{Digest, PaymentHash};
use ldk_node::Event;
use ldk_node::lightning::events::PaymentFailureReason;
use tokio::sync::watch;
use tokio::task::spawn_blocking;

use crate::PaymentOutcome;
use crate::off_runtime::OffRuntime;

/// Outcomes by payment hash, as far as this run has seen them.
pub type Outcomes = HashMap<PaymentHash, PaymentOutcome>;

/// Handles events until the task that runs it ends. A buyer keeps no books: an outcome that is missed
/// here, because the process died, is read from the node's own payment list.
pub async fn pump(node: Arc<OffRuntime>, outcomes: Arc<watch::Sender<Outcomes>>) {
    loop {
        let event = node.next_event_async().await;
        match &event {
            Event::PaymentSuccessful { payment_hash, payment_preimage, fee_paid_msat, .. } => {
                let outcome = PaymentOutcome::Succeeded {
                    preimage: payment_preimage.map(|preimage| preimage.0),
                    fee_msat: fee_paid_msat.unwrap_or(0),
                };
                note(&outcomes, payment_hash.0, outcome);
            }
            Event::PaymentFailed { payment_hash: Some(payment_hash), reason, .. } => {
                let reason = word(*reason).to_owned();
                note(&outcomes, payment_hash.0, PaymentOutcome::Failed { reason });
            }
            other => tracing::debug!(event = ?other, "wallet event"),
        }
        // It writes to disk, which async code must not wait for.
        let (handled, told) = (Arc::clone(&node), "the wallet's node could not take note of an event");
        match spawn_blocking(move || handled.event_handled()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, told),
            Err(error) => tracing::warn!(%error, told),
        }
    }
}

fn note(outcomes: &watch::Sender<Outcomes>, payment_hash: [u8; 32], outcome: PaymentOutcome) {
    let payment_hash = PaymentHash(Digest::new(payment_hash));
    tracing::info!(%payment_hash, ?outcome, "payment ended");
    outcomes.send_modify(|all| {
        all.insert(payment_hash, outcome);
    });
}

/// Stable machine words for LDK's reasons.
const fn word(reason: Option<PaymentFailureReason>) -> &'static str {
    match reason {
        Some(PaymentFailureReason::RecipientRejected) => "recipient_rejected",
        Some(PaymentFailureReason::UserAbandoned) => "abandoned",
        Some(PaymentFailureReason::RetriesExhausted) => "retries_exhausted",
        Some(PaymentFailureReason::PaymentExpired) => "expired",
        Some(PaymentFailureReason::RouteNotFound) => "no_route",
        Some(PaymentFailureReason::UnknownRequiredFeatures) => "unknown_required_features",
        Some(_) => "unexpected",
        None => "unknown",
    }
}
