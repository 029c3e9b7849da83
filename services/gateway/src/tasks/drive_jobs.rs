//! Finds jobs that are due and drives them, a bounded number at once.
//!
//! Money first: jobs whose money is to be taken or given back have slots of their own, so that a model server that hangs
//! can fill every other slot up to the run limit and no claim and no release waits for it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ailayer_platform::health::Component;
use ailayer_platform::tasks::Shutdown;
use tokio::task::{self, JoinSet};
use uuid::Uuid;

use crate::driver::Driver;
use crate::store::leases::{self, Lane};

/// How often the database is looked at when no signal comes: for jobs of other replicas, lapsed leases and rests.
const POLL: Duration = Duration::from_millis(250);
/// How often it is looked for jobs that wait for a time which a clock that was put back has already had.
const MEND: Duration = Duration::from_secs(5);
/// Slots of [`Lane::Money`]. Their steps are short calls, so a few serve many jobs.
const MONEY_SLOTS: u32 = 32;

/// Drives until shutdown, at most `max_running` jobs in [`Lane::Models`]. Running steps are then dropped, as a crash
/// would: every job is found again by its state.
pub async fn run(driver: Driver, max_running: u32, database: Component, shutdown: Shutdown) {
    let mut money = Slots::new(Lane::Money, MONEY_SLOTS);
    let mut models = Slots::new(Lane::Models, max_running);
    let mut mended_at = Instant::now();
    loop {
        if mended_at.elapsed() >= MEND {
            mended_at = Instant::now();
            mend(&driver).await;
        }
        let more_money = money.fill(&driver, &database).await;
        if models.fill(&driver, &database).await || more_money {
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = driver.signals.work_to_drive() => {}
            Some(()) = money.one_ended() => {}
            Some(()) = models.one_ended() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    tokio::join!(money.running.shutdown(), models.running.shutdown());
    let owners: Vec<Uuid> = money.owners.values().chain(models.owners.values()).copied().collect();
    if let Err(error) = leases::give_back_all(driver.jobs.store().pool(), &owners).await {
        tracing::warn!(error = %error, "leases are left to lapse");
    }
}

/// The jobs of one lane that are being driven.
struct Slots {
    lane: Lane,
    slots: u32,
    running: JoinSet<()>,
    /// Under which name each of them holds its lease.
    owners: HashMap<task::Id, Uuid>,
}

impl Slots {
    fn new(lane: Lane, slots: u32) -> Self {
        Self { lane, slots, running: JoinSet::new(), owners: HashMap::new() }
    }

    /// Drives what is due, as far as slots are free. True when there may be more, and room for it.
    async fn fill(&mut self, driver: &Driver, database: &Component) -> bool {
        while let Some(ended) = self.running.try_join_next_with_id() {
            self.forget(ended);
        }
        let owner = Uuid::new_v4();
        let taken = take(driver, owner, self.lane, self.free(), database).await;
        let found = !taken.is_empty();
        for job_id in taken {
            let driver = driver.clone();
            let task = self.running.spawn(async move { driver.drive(job_id, owner).await });
            self.owners.insert(task.id(), owner);
        }
        found && self.free() > 0
    }

    /// Waits until one of them has ended.
    async fn one_ended(&mut self) -> Option<()> {
        let ended = self.running.join_next_with_id().await?;
        self.forget(ended);
        Some(())
    }

    fn forget(&mut self, ended: Result<(task::Id, ()), task::JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.owners.remove(&id);
    }

    fn free(&self) -> u32 {
        self.slots.saturating_sub(u32::try_from(self.running.len()).unwrap_or(u32::MAX))
    }
}

async fn mend(driver: &Driver) {
    match leases::mend(driver.jobs.store(), driver.lease).await {
        Ok(0) => {}
        Ok(jobs) => {
            tracing::warn!(jobs, "the database's clock was put back; jobs do not wait for the old time")
        }
        Err(error) => {
            tracing::warn!(error = %error, "jobs of a clock that was put back cannot be looked for")
        }
    }
}

async fn take(
    driver: &Driver,
    owner: Uuid,
    lane: Lane,
    limit: u32,
    database: &Component,
) -> Vec<ailayer_primitives::JobId> {
    if limit == 0 {
        return Vec::new();
    }
    match leases::take(driver.jobs.store(), owner, driver.lease, lane, limit).await {
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
