//! The database's clock, the only one that decides about jobs: looked at now and then, carried on between the looks, and not believed
//! when it jumps ahead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_primitives::UnixMs;
use ailayer_store::StoreError;
use parking_lot::Mutex;
use sqlx::PgPool;

use crate::domain::steady::SteadyClock;
use crate::known::Known;
use crate::telemetry;

/// How long a look is carried on.
const FRESH: Duration = Duration::from_secs(1);
/// It is looked at as often as this also if nobody needs it, to know when it jumps.
const WATCHED: Duration = Duration::from_secs(5);

/// Tells the time of what is written down. Cloned freely; clones share what they know.
#[derive(Debug, Clone)]
pub struct Clock {
    pool: PgPool,
    /// What it said, and when that was heard.
    heard: Known<(Instant, UnixMs)>,
    steady: Arc<Mutex<SteadyClock>>,
}

impl Clock {
    /// The clock of that database.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, heard: Known::new(FRESH), steady: Arc::default() }
    }

    /// What it says now.
    ///
    /// # Errors
    /// `Unavailable` when it is time for another look and the database is away.
    pub async fn now(&self) -> Result<UnixMs, StoreError> {
        let (at, time) = self.heard.get(async || self.read().await).await?;
        let since = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(UnixMs(time.0.saturating_add(since)))
    }

    /// Looks at it ahead of need.
    ///
    /// # Errors
    /// `Unavailable` when the database is away.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let silent_for = self.steady.lock().silent_for(Instant::now());
        if silent_for.is_none_or(|silent_for| silent_for >= WATCHED) {
            self.read().await?;
        }
        self.heard.refresh(async || self.read().await).await
    }

    /// The time that a row goes by, which said at its last change that it was `written` then, and when it was read that it is `now`:
    /// no later than the clock is believed.
    pub fn time_for(&self, now: UnixMs, written: UnixMs) -> UnixMs {
        self.steady.lock().time_for(Instant::now(), now, written)
    }

    /// Looks at it, and tells whether it is ahead of what is believed: then nothing is to be ended by it that has time.
    ///
    /// # Errors
    /// `Unavailable` when the database is away.
    pub async fn has_jumped(&self) -> Result<bool, StoreError> {
        self.read().await?;
        Ok(self.steady.lock().ahead() > Duration::ZERO)
    }

    async fn read(&self) -> Result<(Instant, UnixMs), StoreError> {
        let time = super::now(&self.pool).await?;
        let at = Instant::now();
        let (before, ahead) = {
            let mut steady = self.steady.lock();
            let before = steady.ahead();
            steady.hear(at, time);
            (before, steady.ahead())
        };
        telemetry::clock_ahead(before, ahead);
        Ok((at, time))
    }
}
