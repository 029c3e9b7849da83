//! Whether another job may begin now. What cannot be served is refused before anything is set aside or locked, with a time to come
//! back.
//!
//! | runs out | refused | looked at |
//! |---|---|---|
//! | quotes that may be open, of all and of one payer | quotes | rows |
//! | holds that may be under way, of one payer | quotes | rows |
//! | jobs that may wait for a model | quotes | rows |
//! | the model's queue | quotes and prepaid jobs | what model serving answered last |
//! | the channels' inbound capacity, their HTLC slots | quotes | the node |

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ailayer_client::payment::Node;
use ailayer_client::{CallError, ErrorReason};
use ailayer_platform::error::Failure;
use ailayer_primitives::AmountMsat;
use ailayer_store::{Store, StoreError};
use parking_lot::Mutex;
use thiserror::Error;

use crate::domain::keys::Keys;
use crate::domain::payer::Payer;
use crate::store::jobs;
use crate::telemetry;

/// When to come back for what frees itself within seconds.
const SOON: Duration = Duration::from_secs(2);
/// When to come back for what needs other quotes to end, or an operator.
const LATER: Duration = Duration::from_secs(30);
/// The longest that a full queue is believed in without another answer.
const LONGEST: Duration = Duration::from_secs(30);

/// Why no job begins now. Nothing exists of it.
#[derive(Debug, Error)]
pub enum AdmissionError {
    /// Too many quotes wait for their payers.
    #[error("too many quotes are open; try again when some have ended")]
    TooManyOpen,
    /// Too many quotes of this payer's.
    #[error("you have {0} open quotes, as many as may be; pay or cancel some")]
    TooManyOfPayer(u32),
    /// Too many paid jobs of this payer's are under way.
    #[error("{0} of your jobs are under way, as many as may be at once")]
    TooManyHolds(u32),
    /// Too many paid jobs wait for a model.
    #[error("too many jobs wait for a model")]
    TooManyWaiting,
    /// Model serving takes no more of this model's.
    #[error("the queue of model {model:?} is full")]
    ModelBusy {
        /// Which model.
        model: String,
        /// When there may be room.
        retry_after: Duration,
    },
    /// No channel can receive as much now.
    #[error("the Lightning node cannot receive {0} now")]
    NoInbound(AmountMsat),
    /// As many holds are accepted as the channels have room for.
    #[error("the Lightning node holds as many payments as it can")]
    NoSlots,
}

impl AdmissionError {
    /// The name in metrics.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::TooManyOpen => "open_quotes",
            Self::TooManyOfPayer(_) => "open_quotes_of_payer",
            Self::TooManyHolds(_) => "holds_of_payer",
            Self::TooManyWaiting => "waiting_jobs",
            Self::ModelBusy { .. } => "model_queue",
            Self::NoInbound(_) => "inbound_capacity",
            Self::NoSlots => "htlc_slots",
        }
    }

    /// Counts it.
    fn told(self) -> Self {
        telemetry::refused(self.as_str());
        self
    }
}

impl From<AdmissionError> for Failure {
    fn from(error: AdmissionError) -> Self {
        use AdmissionError as E;
        let (reason, retry_after) = match &error {
            E::TooManyOpen | E::TooManyOfPayer(_) => (ErrorReason::TooManyOpen, LATER),
            E::TooManyHolds(_) | E::NoSlots => (ErrorReason::TooManyOpen, SOON),
            E::TooManyWaiting => (ErrorReason::Overloaded, SOON),
            E::ModelBusy { retry_after, .. } => (ErrorReason::Overloaded, *retry_after),
            E::NoInbound(_) => (ErrorReason::NoInboundCapacity, LATER),
        };
        Self::new(reason, error.to_string()).with_retry_after(retry_after)
    }
}

/// How much may be under way at once on the hold rail, in all replicas. Calls in flight may exceed it by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Quotes that wait for their payers.
    pub max_open: u32,
    /// Of one payer.
    pub max_open_of_payer: u32,
    /// Jobs of one payer whose money is locked.
    pub max_holds_of_payer: u32,
    /// Jobs whose money is locked and that have no answer yet.
    pub max_waiting: u32,
}

/// Admits jobs. Cloned freely.
#[derive(Clone, Debug)]
pub struct Admission {
    store: Store,
    keys: Keys,
    limits: AdmissionLimits,
    full: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Admission {
    /// Counts the jobs in `store`.
    pub fn new(store: Store, keys: Keys, limits: AdmissionLimits) -> Self {
        Self { store, keys, limits, full: Arc::default() }
    }

    /// Who is behind a network address. IPv6 is looked at by its /64, which is one subscriber's.
    pub fn payer(&self, address: IpAddr) -> Payer {
        self.keys.payer(address)
    }

    /// Whether there is room for another quote. A payer that is not known, as within one process, is not limited.
    ///
    /// # Errors
    /// `Refused` if not, `Store` when the rows cannot be counted.
    pub async fn quote(&self, payer: Option<Payer>, model: &str) -> Result<(), QuoteRefused> {
        self.model(model)?;
        let load = jobs::load(self.store.pool(), payer).await?;
        let limits = &self.limits;
        let is_full = |count: u64, limit: u32| count >= u64::from(limit);
        let refused = if is_full(load.open, limits.max_open) {
            AdmissionError::TooManyOpen
        } else if is_full(load.waiting, limits.max_waiting) {
            AdmissionError::TooManyWaiting
        } else if is_full(load.open_of_payer, limits.max_open_of_payer) {
            AdmissionError::TooManyOfPayer(limits.max_open_of_payer)
        } else if is_full(load.holds_of_payer, limits.max_holds_of_payer) {
            AdmissionError::TooManyHolds(limits.max_holds_of_payer)
        } else {
            return Ok(());
        };
        Err(refused.told().into())
    }

    /// Whether the node could hold a payment of that price now. A node without channels is taken to be able to: its first buyers
    /// open one to it once they know the price.
    ///
    /// # Errors
    /// `NoInbound`, `NoSlots`.
    pub fn payment(&self, node: &Node, price: AmountMsat) -> Result<(), AdmissionError> {
        if node.usable_channels > 0 && node.inbound_capacity < price {
            return Err(AdmissionError::NoInbound(price).told());
        }
        // A payment service that does not say how many it can hold says zero.
        if node.max_accepted_holds > 0 && node.accepted_holds >= node.max_accepted_holds {
            return Err(AdmissionError::NoSlots.told());
        }
        Ok(())
    }

    /// Whether model serving has taken this model's calls lately.
    ///
    /// # Errors
    /// `ModelBusy`.
    pub fn model(&self, model: &str) -> Result<(), AdmissionError> {
        let mut full = self.full.lock();
        let Some(until) = full.get(model).copied() else { return Ok(()) };
        let retry_after = until.saturating_duration_since(Instant::now());
        if retry_after.is_zero() {
            full.remove(model);
            return Ok(());
        }
        Err(AdmissionError::ModelBusy { model: model.to_owned(), retry_after }.told())
    }

    /// Learns from what model serving answered to a call of a model that is for sale.
    pub fn answered<T>(&self, model: &str, answer: &Result<T, CallError>) {
        match answer {
            Ok(_) => {
                self.full.lock().remove(model);
            }
            Err(error) if error.reason() == Some(ErrorReason::Overloaded) => {
                let retry_after = error.retry_after().unwrap_or(SOON).min(LONGEST);
                self.full.lock().insert(model.to_owned(), Instant::now() + retry_after);
            }
            Err(_) => {}
        }
    }
}

/// Why no quote is made.
#[derive(Debug, Error)]
pub enum QuoteRefused {
    /// There is no room.
    #[error(transparent)]
    Refused(#[from] AdmissionError),
    /// Nobody can say.
    #[error(transparent)]
    Store(#[from] StoreError),
}
