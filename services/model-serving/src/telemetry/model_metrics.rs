//! The counters of one model version, and the list of those that are loaded.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Weak};
use std::time::SystemTime;

use parking_lot::Mutex;

use crate::domain::model::ModelId;
use crate::domain::statistics::{BatchExecuted, Outcome, RequestFinished, Statistics};
use crate::telemetry::distributions;

/// The versions whose series are shown: one list a process, as there is one metrics page a process.
static LOADED: LazyLock<Mutex<Vec<Weak<Shared>>>> = LazyLock::new(Mutex::default);

/// Counts what one model version does. Cheap: a short lock a call. Its series end when it is dropped.
#[derive(Debug)]
pub struct ModelMetrics {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// None: nobody shows it.
    id: Option<ModelId>,
    memory_bytes: u64,
    statistics: Mutex<Statistics>,
}

impl ModelMetrics {
    /// Counters at zero, shown on the metrics page until they are dropped. `memory_bytes` is what the version takes, 0 if
    /// that is not known.
    pub fn new(id: &ModelId, memory_bytes: u64) -> Self {
        let metrics = Self::with(Some(id.clone()), memory_bytes);
        let mut loaded = LOADED.lock();
        loaded.retain(|other| other.strong_count() > 0);
        loaded.push(Arc::downgrade(&metrics.shared));
        metrics
    }

    /// Counters that nobody shows.
    #[cfg(test)]
    pub fn detached() -> Self {
        Self::with(None, 0)
    }

    fn with(id: Option<ModelId>, memory_bytes: u64) -> Self {
        Self { shared: Arc::new(Shared { id, memory_bytes, statistics: Mutex::default() }) }
    }

    /// A request was taken into the queue.
    pub fn request_queued(&self) {
        let mut statistics = self.shared.statistics.lock();
        statistics.queued = statistics.queued.saturating_add(1);
    }

    /// The engine ran.
    pub fn batch_executed(&self, batch: &BatchExecuted) {
        self.shared.statistics.lock().batch(batch, SystemTime::now());
        if let Some(id) = &self.shared.id {
            distributions().batch(&id.name, batch);
        }
    }

    /// A request ended, whether it was ever queued or not. Once a request.
    pub fn request_finished(&self, request: &RequestFinished) {
        self.shared.statistics.lock().request(request);
        match &self.shared.id {
            Some(id) if request.outcome == Outcome::Success => distributions().request(&id.name, request),
            _ => {}
        }
    }

    /// So many requests wait now.
    pub fn queue_length(&self, n: usize) {
        self.shared.statistics.lock().pending = n;
    }

    /// What was counted so far.
    pub fn statistics(&self) -> Statistics {
        self.shared.statistics.lock().clone()
    }
}

/// The counters of every loaded version, in order of name and version.
///
/// While a version is swapped for itself there are two of it; the newer one is shown.
pub fn loaded() -> Vec<(ModelId, Statistics)> {
    let loaded = every();
    let shown =
        loaded.iter().filter_map(|shared| Some((shared.id.clone()?, shared.statistics.lock().clone())));
    let newest: BTreeMap<ModelId, Statistics> = shown.collect();
    newest.into_iter().collect()
}

/// The memory of every loaded version, bytes. While a version is swapped for itself it takes that of both.
pub fn memory() -> Vec<(ModelId, u64)> {
    let mut sums: BTreeMap<ModelId, u64> = BTreeMap::new();
    for shared in every() {
        if let Some(id) = &shared.id {
            let sum = sums.entry(id.clone()).or_default();
            *sum = sum.saturating_add(shared.memory_bytes);
        }
    }
    sums.into_iter().collect()
}

fn every() -> Vec<Arc<Shared>> {
    let mut list = LOADED.lock();
    list.retain(|other| other.strong_count() > 0);
    list.iter().filter_map(Weak::upgrade).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_end_with_the_version_and_the_newer_of_two_is_shown() {
        let id = ModelId { name: "of-this-test-alone".to_owned(), version: "3".parse().unwrap() };
        let shown = || loaded().into_iter().find(|(other, _)| *other == id).map(|(_, s)| s.queued);
        let memory = || memory().into_iter().find(|(other, _)| *other == id).map(|(_, bytes)| bytes);
        let old = ModelMetrics::new(&id, 5);
        old.request_queued();
        assert_eq!(shown(), Some(1));
        let new = ModelMetrics::new(&id, 6);
        assert_eq!((shown(), memory()), (Some(0), Some(11)));
        drop(old);
        let _unseen = ModelMetrics::detached();
        assert_eq!((shown(), memory()), (Some(0), Some(6)));
        drop(new);
        assert_eq!((shown(), memory()), (None, None));
    }
}
