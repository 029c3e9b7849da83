//! Reads what every call needs again before it is too old to be believed. One call of many would wait for it otherwise, and on a
//! busy database all that come meanwhile.

use std::error::Error;

use ailayer_platform::tasks::Shutdown;

use crate::access::Access;
use crate::brakes::Brakes;
use crate::known::REFRESH_PERIOD;
use crate::models::Models;
use crate::prices::Prices;
use crate::store::clock::Clock;

/// What is read again.
pub struct RefreshKnown {
    /// Keys and limits of those who called lately.
    pub access: Access,
    /// What operators have stopped.
    pub brakes: Brakes,
    /// The prices in force.
    pub prices: Prices,
    /// What is loaded.
    pub models: Models,
    /// The database's clock.
    pub clock: Clock,
}

impl RefreshKnown {
    /// Runs until the shutdown.
    pub async fn run(self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(REFRESH_PERIOD) => {}
            }
            let refreshed = tokio::join!(
                self.access.refresh(),
                self.brakes.refresh(),
                self.prices.refresh(),
                self.models.refresh(),
                self.clock.refresh(),
            );
            note("access", refreshed.0);
            note("brakes", refreshed.1);
            note("prices", refreshed.2);
            note("models", refreshed.3);
            note("clock", refreshed.4);
        }
    }
}

/// Whoever needs it will meet the error, and say so.
fn note<E: Error>(what: &'static str, refreshed: Result<(), E>) {
    if let Err(error) = refreshed {
        tracing::debug!(what, error = %error, "not read ahead of need");
    }
}
