//! Wake-ups within this process. Only shortcuts: whoever misses one finds the work by looking at the database.

use std::sync::Arc;

use ailayer_primitives::JobId;
use tokio::sync::{Notify, broadcast};

/// Changes a slow listener may lag behind before it looks at the database instead.
const CAPACITY: usize = 1024;

/// Cloned into whoever changes jobs and whoever waits for changes.
#[derive(Clone, Debug)]
pub struct Signals {
    changed: broadcast::Sender<JobId>,
    drive: Arc<Notify>,
    relay: Arc<Notify>,
    claim: Arc<Notify>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            changed: broadcast::Sender::new(CAPACITY),
            drive: Arc::default(),
            relay: Arc::default(),
            claim: Arc::default(),
        }
    }
}

impl Signals {
    /// A job has changed: its watchers and its driver look.
    pub fn job_changed(&self, job_id: JobId) {
        // No receiver means that nobody watches.
        let _ = self.changed.send(job_id);
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

    /// Listens to changes from now on.
    pub fn subscribe(&self) -> JobChanges {
        JobChanges(self.changed.subscribe())
    }
}

/// The changes of jobs as they happen in this process.
#[derive(Debug)]
pub struct JobChanges(broadcast::Receiver<JobId>);

impl JobChanges {
    /// Ends when this job has changed, or may have.
    pub async fn of(&mut self, job_id: JobId) {
        loop {
            match self.0.recv().await {
                Ok(changed) if changed == job_id => return,
                Ok(_) => {}
                // Some changes were missed, and this job's may be among them.
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                // The gateway is going down; polling goes on without us.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
