//! Frees reservations whose time has run out. A job's reservation has no time: the job frees it.

use std::time::Duration;

use ailayer_platform::tasks::Shutdown;
use ailayer_store::{Store, StoreError};

use super::write_ledger::{LedgerHandle, Rider, SubmitError};
use crate::domain::ledger::{Action, Operation, OperationError, derived_id};
use crate::store::clock::Clock;
use crate::store::ledger::reservations;
use crate::telemetry;

/// Time between looks while little has expired.
const INTERVAL: Duration = Duration::from_secs(1);
/// The most that is freed at a time.
const BATCH: u32 = 500;

#[derive(Debug, thiserror::Error)]
enum ExpireError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
    #[error(transparent)]
    Operation(#[from] OperationError),
}

/// Runs until the shutdown.
pub async fn run<Row: Rider>(store: Store, clock: Clock, ledger: LedgerHandle<Row>, shutdown: Shutdown) {
    loop {
        let is_full = match expire(&store, &clock, &ledger).await {
            Ok(found) => found >= usize::try_from(BATCH).unwrap_or(usize::MAX),
            Err(error) => {
                telemetry::expiry_failed(&error);
                false
            }
        };
        let rest = if is_full { Duration::ZERO } else { INTERVAL };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}

/// One look. A capture that is faster wins: the refusal is right, and nothing is left to do.
async fn expire<Row: Rider>(
    store: &Store,
    clock: &Clock,
    ledger: &LedgerHandle<Row>,
) -> Result<usize, ExpireError> {
    let expired = reservations::expired(store.pool(), BATCH).await?;
    // Time that did not pass must not free what is set aside.
    if expired.is_empty() || clock.has_jumped().await? {
        return Ok(0);
    }
    let found = expired.len();
    let operations = expired.into_iter().map(|(account, reservation)| {
        Operation::try_new(account, derived_id(reservation, "expire"), Action::Expire { reservation })
    });
    let operations: Vec<Operation> = operations.collect::<Result<_, _>>()?;
    let submitted = operations.into_iter().map(|operation| ledger.submit(operation));
    futures::future::try_join_all(submitted).await?;
    Ok(found)
}
