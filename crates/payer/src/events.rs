//! Takes note of how payments end, and lets the node's event queue go on.

use std::collections::HashMap;
use std::sync::Arc;

use ailayer_primitives::{Digest, PaymentHash};
use ldk_node::{Event, Node};
use tokio::sync::watch;

use crate::PaymentOutcome;

/// Outcomes by payment hash, as far as this run has seen them.
pub type Outcomes = HashMap<PaymentHash, PaymentOutcome>;

/// Handles events until the task that runs it ends. A buyer keeps no books: an outcome that is missed
/// here, because the process died, is read from the node's own payment list.
pub async fn pump(node: Arc<Node>, outcomes: watch::Sender<Outcomes>) {
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
                let reason = reason.map_or_else(|| "unknown".to_owned(), |reason| format!("{reason:?}"));
                note(&outcomes, payment_hash.0, PaymentOutcome::Failed { reason });
            }
            other => tracing::debug!(event = ?other, "wallet event"),
        }
        if let Err(error) = node.event_handled() {
            tracing::warn!(%error, "the wallet's node could not take note of an event");
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
