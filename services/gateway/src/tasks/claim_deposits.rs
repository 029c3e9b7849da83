//! Asks for the money of deposits that are being taken, until an event says how that ended.

use std::time::Duration;

use ailayer_platform::tasks::Shutdown;
use ailayer_store::StoreError;
use futures::StreamExt as _;
use uuid::Uuid;

use crate::deposits::Deposits;
use crate::domain::brake::Brake;
use crate::store::deposits;
use crate::telemetry;

/// How often it is looked without a signal: a claim without an event is asked for again.
const POLL: Duration = Duration::from_secs(2);
/// How many are looked up at a time.
const PAGE: u32 = 256;
/// How many are asked for at a time: one that gets no answer keeps few others from their turn.
const AT_ONCE: usize = 16;

/// Runs until the shutdown.
pub async fn run(all: Deposits, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            looked = round(&all) => {
                if let Err(error) = looked {
                    tracing::warn!(error = %error, "deposits cannot be looked for");
                }
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = all.signals.work_to_claim() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
}

/// Asks for all of them once, unless an operator has stopped claims: their money then goes back at its deadline.
async fn round(all: &Deposits) -> Result<(), StoreError> {
    let mut after = Uuid::nil();
    loop {
        let page = deposits::taking(all.store.pool(), after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = *last;
        if let Err(error) = all.brakes.check(Brake::Claims).await {
            tracing::warn!(error = %error, waiting = page.len(), "deposits are not taken");
            return Ok(());
        }
        futures::stream::iter(page)
            .for_each_concurrent(AT_ONCE, |deposit_id| async move {
                if let Err(error) = all.claim(deposit_id).await {
                    telemetry::deposit_failed(deposit_id, "claim", &error);
                }
            })
            .await;
    }
}
