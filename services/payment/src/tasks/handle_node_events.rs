//! Takes the node's events one by one: durable here first, dropped there afterwards.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::tasks::Shutdown;

use crate::app::App;
use crate::domain::hold_invoice::Claimable;
use crate::error::ServiceError;
use crate::ports::NodeEvent;

/// Pause before an event is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// Runs until the stop. Ends with an error only when the rows cannot be trusted or written for good.
pub async fn run(app: Arc<App>, shutdown: Shutdown) -> Result<(), ServiceError> {
    loop {
        let event = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            event = app.node.next_event() => event,
        };
        // Not cut off half way: a stop waits until the event is durable.
        match handle(&app, &event).await {
            Ok(()) => {}
            Err(error) if error.is_fatal() => return Err(error),
            // Expected for a while after a start, and said where it is decided.
            Err(ServiceError::NotSynced(_)) => {
                pause(&shutdown).await;
                continue;
            }
            Err(error) => {
                tracing::warn!(event = event.name(), %error, "node event not handled, trying again");
                pause(&shutdown).await;
                continue;
            }
        }
        if let Err(error) = app.node.event_handled().await {
            // It comes again; every handler is idempotent.
            tracing::warn!(%error, "node event not dropped, it will come again");
            pause(&shutdown).await;
            continue;
        }
        let was_forwarded = matches!(event, NodeEvent::PaymentForwarded { .. });
        while let Err(error) = app.funds.on_dropped(was_forwarded).await {
            if error.is_fatal() {
                return Err(error);
            }
            tracing::warn!(%error, "that an event was dropped is not written down, trying again");
            pause(&shutdown).await;
            if shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }
}

async fn pause(shutdown: &Shutdown) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(RETRY) => {}
    }
}

async fn handle(app: &App, event: &NodeEvent) -> Result<(), ServiceError> {
    match event {
        NodeEvent::PaymentClaimable { payment_id, payment_hash, amount, claim_deadline_height } => {
            let money = Claimable { amount: *amount, claim_deadline_height: *claim_deadline_height };
            app.holds.on_claimable(*payment_hash, *payment_id, money).await
        }
        NodeEvent::PaymentReceived { payment_hash, amount } => {
            app.holds.on_received(*payment_hash, *amount).await
        }
        NodeEvent::PaymentSent { payment_hash, preimage, fee } => {
            app.payments.on_sent(*payment_hash, *preimage, *fee).await
        }
        NodeEvent::PaymentFailed { payment_hash, reason } => {
            app.payments.on_failed(*payment_hash, reason).await
        }
        NodeEvent::PaymentForwarded { fee, fingerprint } => app.funds.on_forwarded(*fee, *fingerprint).await,
        NodeEvent::ChannelPending { user_channel_id } => app.funds.on_pending(*user_channel_id).await,
        NodeEvent::ChannelReady { user_channel_id } => app.channels.on_ready(*user_channel_id).await,
        NodeEvent::ChannelClosed { user_channel_id, reason } => {
            app.funds.on_closed(*user_channel_id).await?;
            app.channels.on_closed(*user_channel_id, reason).await
        }
        NodeEvent::Other(what) => {
            tracing::debug!(what, "node event");
            Ok(())
        }
    }
}
