//! Wake-ups within this process. Only shortcuts: whoever misses one finds the work by looking at the database.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use ailayer_primitives::JobId;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

/// Cloned into whoever changes jobs and whoever waits for changes.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    watched: Watched,
    drive: Arc<Notify>,
    relay: Arc<Notify>,
    claim: Arc<Notify>,
}

/// The jobs that somebody waits for, so that a change wakes nobody else.
type Watched = Arc<Mutex<HashMap<JobId, watch::Sender<()>>>>;

impl Signals {
    /// A job has changed: its watchers and its driver look.
    pub fn job_changed(&self, job_id: JobId) {
        if let Some(sender) = self.watched.lock().get(&job_id) {
            sender.send_replace(());
        }
    }

    /// There may be a job that nobody drives.
    pub fn drive(&self) {
        self.drive.notify_one();
    }

    /// There may be a closing entry to append.
    pub fn relay(&self) {
        self.relay.notify_one();
    }

    /// Ends when there may be a job to drive.
    pub async fn work_to_drive(&self) {
        self.drive.notified().await;
    }

    /// Ends when there may be a closing entry to append.
    pub async fn work_to_relay(&self) {
        self.relay.notified().await;
    }

    /// There may be a deposit to claim.
    pub fn claim(&self) {
        self.claim.notify_one();
    }

    /// Ends when there may be a deposit to claim.
    pub async fn work_to_claim(&self) {
        self.claim.notified().await;
    }

    /// Listens to the changes of a job from now on.
    pub fn watch(&self, job_id: JobId) -> JobChanges {
        let receiver = match self.watched.lock().entry(job_id) {
            Entry::Occupied(sender) => sender.get().subscribe(),
            Entry::Vacant(place) => place.insert(watch::Sender::new(())).subscribe(),
        };
        JobChanges { job_id, watched: Arc::clone(&self.watched), receiver: Some(receiver) }
    }
}

/// The changes of one job as they happen in this process.
#[derive(Debug)]
pub struct JobChanges {
    job_id: JobId,
    watched: Watched,
    /// Gone only while this is dropped.
    receiver: Option<watch::Receiver<()>>,
}

impl JobChanges {
    /// Ends when the job has changed since this was made, or since the last time. Several changes may be one.
    pub async fn next(&mut self) {
        let changed = match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        };
        if !changed {
            // Nobody is left to tell; polling goes on without us.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for JobChanges {
    /// The last one to wait for a job takes its place away.
    fn drop(&mut self) {
        let mut watched = self.watched.lock();
        self.receiver = None;
        if let Entry::Occupied(sender) = watched.entry(self.job_id)
            && sender.get().receiver_count() == 0
        {
            sender.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_change_wakes_those_who_wait_for_that_job_and_is_not_missed() {
        let signals = Signals::default();
        let [one, two] = [1, 2].map(|id| JobId::new(Uuid::from_u128(id)));
        let (mut first, mut second, mut other) = (signals.watch(one), signals.watch(one), signals.watch(two));
        signals.job_changed(one);
        signals.job_changed(one);
        // Also by whoever looks only afterwards, and once.
        assert!(first.next().now_or_never().is_some());
        assert!(first.next().now_or_never().is_none());
        assert!(other.next().now_or_never().is_none());
        second.next().await;
        let woken = tokio::time::timeout(Duration::from_secs(10), second.next());
        let ((), woken) = tokio::join!(async { signals.job_changed(one) }, woken);
        woken.unwrap();
    }

    #[test]
    fn nothing_is_kept_of_jobs_that_nobody_waits_for() {
        let signals = Signals::default();
        let job = JobId::new(Uuid::from_u128(1));
        let (first, second) = (signals.watch(job), signals.watch(job));
        drop(first);
        assert_eq!(signals.watched.lock().len(), 1);
        drop(second);
        signals.job_changed(job);
        assert_eq!(signals.watched.lock().len(), 0);
    }
}
