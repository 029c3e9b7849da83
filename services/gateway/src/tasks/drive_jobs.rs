//! Finds jobs that are due and drives them, a bounded number at once.

use std::time::Duration;

use ailayer_platform::health::Component;
use ailayer_platform::tasks::Shutdown;
use tokio::task::JoinSet;

use crate::driver::Driver;
use crate::store::leases;

/// How often the database is looked at when no signal comes: for jobs of other replicas, lapsed leases and rests.
const POLL: Duration = Duration::from_millis(250);

/// Drives until shutdown. Running steps are then dropped, as a crash would: every job is found again by its state.
pub async fn run(driver: Driver, max_jobs: u32, database: Component, shutdown: Shutdown) {
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let taken = take(&driver, free(max_jobs, running.len()), &database).await;
        let found = !taken.is_empty();
        for job_id in taken {
            let driver = driver.clone();
            running.spawn(async move { driver.drive(job_id).await });
        }
        if found && free(max_jobs, running.len()) > 0 {
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = driver.signals.work_to_drive() => {}
            Some(_) = running.join_next() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    running.shutdown().await;
    if let Err(error) = leases::give_back_all(driver.jobs.store().pool(), driver.owner).await {
        tracing::warn!(error = %error, "leases are left to lapse");
    }
}

async fn take(driver: &Driver, limit: u32, database: &Component) -> Vec<ailayer_primitives::JobId> {
    if limit == 0 {
        return Vec::new();
    }
    match leases::take(driver.jobs.store().pool(), driver.owner, driver.lease, limit).await {
        Ok(taken) => {
            database.set_ready();
            taken
        }
        Err(error) => {
            database.set_unready(error.to_string());
            Vec::new()
        }
    }
}

fn free(max_jobs: u32, running: usize) -> u32 {
    max_jobs.saturating_sub(u32::try_from(running).unwrap_or(u32::MAX))
}
