//! Mirrors `tasks/write_ledger.rs` and `jobs/rows.rs`: rows of prepaid jobs and operations in coalesced commits.

use std::collections::BTreeSet;

use ailayer_gateway::domain::job::{Job, State};
use ailayer_gateway::domain::ledger::{Stripe, Verdict, prepaid};
use ailayer_primitives::{JobId, UnixMs};
use uuid::Uuid;

use super::jobs::{Plan, commit, short};
use crate::bugs::Bug;
use crate::ledger::Submission;
use crate::store::{JobRow, Tx};
use crate::world::{Failed, LEASE_MS, Which, World};

/// How often a batch is tried.
const TRIES: u32 = 4;
/// The most orders of a batch: few, so that batches have neighbours.
const MAX_BATCH: usize = 3;

/// The writer's memory.
#[derive(Debug, Default)]
pub struct Writer {
    queue: Vec<Order>,
    batch: Option<Batch>,
    replies: Vec<Reply>,
}

/// What waits for its answer: an operation with the row that changes with it, or the row alone.
#[derive(Debug, Clone)]
pub struct Order {
    /// Names whoever waits.
    pub ticket: u64,
    pub submission: Option<Submission>,
    pub row: Row,
}

/// `jobs::rows::JobRow`
#[derive(Debug, Clone)]
pub enum Row {
    Begin(Box<JobRow>),
    Change(Box<Plan>),
}

/// `write_ledger::Fit`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    Fits,
    Written,
    Moved,
}

/// `write_ledger::queue::Answer`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Operation(Verdict),
    Change(Fit),
}

/// An answer for somebody who waits.
#[derive(Debug)]
pub struct Reply {
    ticket: u64,
    /// None where it is not known whether it was done.
    pub outcome: Option<Outcome>,
    /// The job that began. Only a mistake makes it another one than was offered.
    pub written: Option<Box<JobRow>>,
}

/// A batch that is being written.
#[derive(Debug)]
struct Batch {
    orders: Vec<Order>,
    /// What would be answered if the try before was committed.
    unclear: Option<Vec<Outcome>>,
    tries_left: u32,
}

impl Writer {
    pub fn has_work(&self) -> bool {
        self.batch.is_some() || !self.queue.is_empty()
    }

    pub fn submit(&mut self, order: Order) {
        self.queue.push(order);
    }

    pub fn has_reply(&self, ticket: u64) -> bool {
        self.replies.iter().any(|reply| reply.ticket == ticket)
    }

    /// The answer, once there is one.
    pub fn reply(&mut self, ticket: u64) -> Option<Reply> {
        let at = self.replies.iter().position(|reply| reply.ticket == ticket)?;
        Some(self.replies.remove(at))
    }
}

/// `LedgerWriter::commit`: one try.
pub fn write_ledger(world: &mut World, which: Which) {
    let writer = &mut world.replica(which).writer;
    let mut batch = match writer.batch.take() {
        Some(batch) => batch,
        None => {
            let count = writer.queue.len().min(MAX_BATCH);
            let orders: Vec<Order> = writer.queue.drain(..count).collect();
            Batch { orders, unclear: None, tries_left: TRIES }
        }
    };
    let answers: Vec<Option<Outcome>> = match try_commit(world, which, &batch) {
        Ok(outcomes) => outcomes.into_iter().map(Some).collect(),
        Err((failed, outcomes)) => {
            if failed == Failed::Unclear {
                batch.unclear = Some(outcomes);
            }
            batch.tries_left = batch.tries_left.saturating_sub(1);
            if batch.tries_left > 0 {
                if world.bug == Some(Bug::UnclearTakenForFailed) && failed == Failed::Unclear {
                    rename(world, &mut batch);
                }
                world.replica(which).writer.batch = Some(batch);
                return;
            }
            vec![None; batch.orders.len()]
        }
    };
    world.note(|| format!("{which} writes a batch of {}: {answers:?}", answers.len()));
    let store = &world.store;
    let reply = |(order, outcome): (&Order, Option<Outcome>)| {
        let written = match &order.row {
            Row::Begin(new) => store.jobs.get(&new.job_id).cloned().map(Box::new),
            Row::Change(_) => None,
        };
        Reply { ticket: order.ticket, outcome, written }
    };
    let replies: Vec<Reply> = batch.orders.iter().zip(answers).map(reply).collect();
    world.replica(which).writer.replies.extend(replies);
}

/// `LedgerWriter::try_commit`: one transaction, which after an unclear one finds out whether that happened.
fn try_commit(
    world: &mut World,
    which: Which,
    batch: &Batch,
) -> Result<Vec<Outcome>, (Failed, Vec<Outcome>)> {
    if world.is_store_down {
        return Err((Failed::Before, Vec::new()));
    }
    let fits = fits(world, batch);
    let submission = |(order, fit): (&Order, &Fit)| {
        order.submission.clone().map(|it| Submission { may_apply: *fit == Fit::Fits, ..it })
    };
    let submissions: Vec<Submission> = batch.orders.iter().zip(&fits).filter_map(submission).collect();
    let stripe = Stripe::of_writer(Uuid::from_u128(if which == Which::A { 1 } else { 2 }));
    let (verdicts, page) = world.store.ledger.apply(stripe, &submissions, world.now);
    let is_ours = is_ours(&submissions, &verdicts) || is_written(batch, &fits);
    if let Some(answers) = batch.unclear.as_ref().filter(|_| is_ours) {
        return Ok(answers.clone());
    }
    let mut verdicts = verdicts.into_iter();
    let outcomes: Vec<Outcome> = (batch.orders.iter().zip(&fits))
        .map(|(order, fit)| match order.submission.as_ref().and_then(|_| verdicts.next()) {
            Some(verdict) => Outcome::Operation(verdict),
            None => Outcome::Change(*fit),
        })
        .collect();
    let mut tx = Tx { page: Some(page), ..Tx::default() };
    for (order, outcome) in batch.orders.iter().zip(&outcomes) {
        if matches!(outcome, Outcome::Operation(Verdict::Applied(_)) | Outcome::Change(Fit::Fits)) {
            write(world, which, &mut tx, &order.row);
        }
    }
    commit(world, tx).map(|()| outcomes.clone()).map_err(|failed| (failed, outcomes))
}

/// `JobRows::write_in_tx`
fn write(world: &mut World, which: Which, tx: &mut Tx, row: &Row) {
    match row {
        Row::Begin(new) => {
            let until = UnixMs(world.now.0.saturating_add(LEASE_MS));
            let lease = Some((which, until));
            // `insert_in_tx`: the money counts as locked when it is written.
            let job = Job::prepaid(new.job.price, world.now);
            tx.jobs.push(JobRow { lease, job, wake: Some(world.now), ..(**new).clone() });
            world.note(|| format!("  prepaid job {}", short(new.job_id)));
        }
        Row::Change(plan) => {
            let stored = world.store.jobs.get(&plan.before.job_id);
            // The lease is no part of the change, but for its end.
            let lease = stored.and_then(|row| row.lease).filter(|_| !plan.after.job.state.is_terminal());
            let (from, to) = (plan.before.job.state, plan.after.job.state);
            tx.jobs.push(JobRow { lease, ..plan.after.clone() });
            tx.outbox.extend(plan.outbox.clone());
            world.note(|| format!("  job {}: {from} -> {to}", short(plan.before.job_id)));
        }
    }
}

/// `JobRows::lock_in_tx`
fn fits(world: &World, batch: &Batch) -> Vec<Fit> {
    let (mut requests, mut changed) = (BTreeSet::new(), BTreeSet::new());
    let fit = |order: &Order| match &order.row {
        Row::Begin(_) if matches!(world.bug, Some(Bug::RequestIdIgnored | Bug::UnclearTakenForFailed)) => {
            Fit::Fits
        }
        Row::Begin(new) => {
            let request = (new.payer, new.request_id);
            let is_known = world.store.requests.contains_key(&request);
            if !is_known && requests.insert(request) { Fit::Fits } else { Fit::Moved }
        }
        Row::Change(_) if world.bug == Some(Bug::ChangeUnchecked) => Fit::Fits,
        Row::Change(plan) => {
            let standing = world.store.jobs.get(&plan.before.job_id).map(standing);
            let is_first = changed.insert(plan.before.job_id);
            if standing == Some(self::standing(&plan.before)) && is_first {
                Fit::Fits
            } else if standing == Some(self::standing(&plan.after)) {
                Fit::Written
            } else {
                Fit::Moved
            }
        }
    };
    batch.orders.iter().map(fit).collect()
}

/// `store::transitions::Standing`
fn standing(row: &JobRow) -> (State, u64, u32) {
    (row.job.state, row.version, row.job.attempt)
}

/// `write_ledger::is_ours`
fn is_ours(submissions: &[Submission], verdicts: &[Verdict]) -> bool {
    submissions.iter().zip(verdicts).any(|(submission, verdict)| {
        matches!(verdict, Verdict::Duplicate(posted) if posted.transaction_id == submission.transaction_id)
    })
}

/// `write_ledger::is_written`
fn is_written(batch: &Batch, fits: &[Fit]) -> bool {
    batch.orders.iter().zip(fits).any(|(order, fit)| order.submission.is_none() && *fit == Fit::Written)
}

/// [`Bug::UnclearTakenForFailed`]: the same orders, as if nothing had happened.
fn rename(world: &mut World, batch: &mut Batch) {
    batch.unclear = None;
    for order in &mut batch.orders {
        let Row::Begin(new) = &mut order.row else { continue };
        let job_id: JobId = world.ids.job();
        let Some(Ok(operation)) = new.payer.map(|payer| prepaid::reserve(payer, job_id, new.job.price))
        else {
            continue;
        };
        new.job_id = job_id;
        order.submission =
            Some(Submission { operation, transaction_id: world.ids.transaction(), may_apply: true });
    }
}
