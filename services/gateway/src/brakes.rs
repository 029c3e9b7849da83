//! Which brakes are on.

use std::sync::Arc;
use std::time::Duration;

use ailayer_platform::error::{ErrorReason, Failure};
use ailayer_store::{Store, StoreError};
use thiserror::Error;

use crate::domain::brake::Brake;
use crate::known::Known;
use crate::store::brakes::{self, BrakeRecord};
use crate::telemetry;

/// How long what was read is believed: a brake works everywhere within that.
const FRESH: Duration = Duration::from_secs(1);

/// Why something does not happen now.
#[derive(Debug, Error)]
pub enum BrakeError {
    /// An operator has stopped it.
    #[error("the operator has paused this for now ({0})")]
    Engaged(Brake),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BrakeError> for Failure {
    fn from(error: BrakeError) -> Self {
        let message = error.to_string();
        match error {
            BrakeError::Engaged(_) => Self::new(ErrorReason::Paused, message),
            BrakeError::Store(error) => error.into(),
        }
    }
}

/// The brakes. Cloned freely.
#[derive(Clone, Debug)]
pub struct Brakes {
    store: Store,
    /// Those that are on.
    engaged: Known<Arc<[Brake]>>,
}

impl Brakes {
    /// Those in `store`.
    pub fn new(store: Store) -> Self {
        Self { store, engaged: Known::new(FRESH) }
    }

    /// An error if the brake is on.
    pub async fn check(&self, brake: Brake) -> Result<(), BrakeError> {
        let engaged = self.engaged.get(async || self.read().await).await?;
        if engaged.contains(&brake) { Err(BrakeError::Engaged(brake)) } else { Ok(()) }
    }

    /// Reads them ahead of need.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.engaged.refresh(async || self.read().await).await
    }

    /// Looks how they stand, for their metric alone.
    pub async fn look(&self) -> Result<(), StoreError> {
        self.read().await.map(drop)
    }

    async fn read(&self) -> Result<Arc<[Brake]>, StoreError> {
        let records = brakes::all(self.store.pool()).await?;
        let on: Arc<[Brake]> =
            records.into_iter().filter(|record| record.engaged).map(|record| record.brake).collect();
        telemetry::brakes(&on);
        Ok(on)
    }

    /// How all of them stand, by name.
    pub async fn all(&self) -> Result<Vec<BrakeRecord>, StoreError> {
        let changed = brakes::all(self.store.pool()).await?;
        let record = |brake: Brake| {
            let found = changed.iter().find(|record| record.brake == brake).cloned();
            found.unwrap_or(BrakeRecord {
                brake,
                engaged: false,
                note: String::new(),
                operator: String::new(),
                changed_at: None,
            })
        };
        let mut all: Vec<BrakeRecord> = Brake::ALL.into_iter().map(record).collect();
        all.sort_by_key(|record| record.brake.as_str());
        Ok(all)
    }

    /// Puts a brake on or takes it off. Durable when this returns, and in force here at once.
    pub async fn set(
        &self,
        brake: Brake,
        engaged: bool,
        note: &str,
        operator: &str,
    ) -> Result<BrakeRecord, StoreError> {
        let record = brakes::set(self.store.pool(), brake, engaged, note, operator).await?;
        self.engaged.forget();
        // For the metric alone: the brake is set.
        self.look().await.ok();
        tracing::warn!(%brake, engaged, note, operator, "a brake was changed");
        Ok(record)
    }
}
