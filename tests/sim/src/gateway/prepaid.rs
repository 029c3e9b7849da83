//! Mirrors `prepaid.rs`, `prepaid/rows.rs` and `tasks/write_ledger.rs`: reservation and job in one coalesced commit.

use std::collections::BTreeSet;

use ailayer_gateway::domain::job::Job;
use ailayer_gateway::domain::ledger::{Refusal, Stripe, Verdict, prepaid};
use ailayer_primitives::{JobId, UnixMs};
use uuid::Uuid;

use super::driver::{At as DriverAt, Driving};
use super::jobs::short;
use super::quotes::price;
use crate::bugs::Bug;
use crate::buyers::{Answer, Want};
use crate::ledger::Submission;
use crate::store::{JobRow, Tx};
use crate::world::{Failed, LEASE_MS, Which, World};

/// How often a batch is tried.
const TRIES: u32 = 4;
/// The most orders of a batch: few, so that batches have neighbours.
const MAX_BATCH: usize = 3;

/// A call that runs a prepaid job.
#[derive(Debug)]
pub struct PrepaidCall {
    /// Which of the buyers' orders.
    pub order: usize,
    /// Stands for what is asked; a repeat may ask for something else.
    pub body: u64,
    pub at: At,
}

/// What the call is about to do.
#[derive(Debug)]
pub enum At {
    LookUp,
    /// `begin`: hand the order to the writer.
    Submit(Box<JobRow>),
    /// `begin`: the writer has it.
    Waiting(Box<JobRow>),
    /// `why_moved`: a twin was faster, or there was no room.
    Moved,
    /// `end_of`
    End(JobId),
}

/// Whether the answer to a call is a job.
enum Found {
    None,
    Job(JobId),
}

/// One write of the call; none when the buyer has an answer.
pub fn step(world: &mut World, which: Which, call: PrepaidCall) -> Option<PrepaidCall> {
    let PrepaidCall { order, body, at } = call;
    let next = match at {
        At::LookUp => look_up(world, which, order, body),
        At::Submit(new) => submit(world, which, new),
        At::Waiting(new) => wait(world, which, new),
        At::Moved => match known(world, order, body) {
            Ok(Found::Job(job_id)) => Ok(At::End(job_id)),
            // There is room again by now: the caller may come back at once.
            Ok(Found::None) => Err(Answer::Failed),
            Err(answer) => Err(answer),
        },
        At::End(job_id) => match world.read(|store| store.jobs.get(&job_id).cloned()) {
            Ok(Some(row)) if row.job.state.is_terminal() => Err(Answer::Shown(job_id.uuid())),
            Ok(Some(_)) => Ok(At::End(job_id)),
            Ok(None) | Err(_) => Err(Answer::Failed),
        },
    };
    match next {
        Ok(at) => Some(PrepaidCall { order, body, at }),
        Err(answer) => {
            world.buyers.answered(order, body, answer);
            None
        }
    }
}

/// `Prepaid::known`
fn known(world: &mut World, order: usize, body: u64) -> Result<Found, Answer> {
    let order = world.buyers.order(order).ok_or(Answer::Failed)?;
    let Want::Prepaid(account) = order.want else { return Err(Answer::Failed) };
    let found = world.read(|store| store.job_of(Some(account), order.request_id).cloned());
    match found.map_err(|_| Answer::Failed)? {
        Some(row) if row.body != body => Err(Answer::Reused),
        Some(row) if world.bug != Some(Bug::RequestIdIgnored) => Ok(Found::Job(row.job_id)),
        _ => Ok(Found::None),
    }
}

/// `Prepaid::run` and `Prepaid::offer`
fn look_up(world: &mut World, which: Which, order: usize, body: u64) -> Result<At, Answer> {
    if let Found::Job(job_id) = known(world, order, body)? {
        return Ok(At::End(job_id));
    }
    let order = world.buyers.order(order).ok_or(Answer::Failed)?;
    let Want::Prepaid(account) = order.want else { return Err(Answer::Failed) };
    let cap = price().of(order.tokens).map_err(|_| Answer::Failed)?;
    let new = JobRow {
        job_id: world.ids.job(),
        request_id: order.request_id,
        payer: Some(account),
        body,
        version: 1,
        job: Job::prepaid(cap, world.now),
        price: price(),
        tokens: order.tokens,
        has_invoice: false,
        receipt: None,
        output: None,
        leaf_index: None,
        closing: None,
        closing_index: None,
        taken: None,
        wake: Some(world.now),
        lease: Some((which, world.now)),
    };
    Ok(At::Submit(Box::new(new)))
}

/// `Prepaid::begin`
fn submit(world: &mut World, which: Which, new: Box<JobRow>) -> Result<At, Answer> {
    let (Some(account), cap) = (new.payer, new.job.price) else { return Err(Answer::Failed) };
    let operation = prepaid::reserve(account, new.job_id, cap).map_err(|_| Answer::Failed)?;
    let submission = Submission { operation, transaction_id: world.ids.transaction(), may_apply: true };
    let order = Order { caller: new.job_id, submission, new: (*new).clone() };
    world.replica(which).writer.queue.push(order);
    Ok(At::Waiting(new))
}

fn wait(world: &mut World, which: Which, new: Box<JobRow>) -> Result<At, Answer> {
    let replies = &mut world.replica(which).writer.replies;
    let Some(at) = replies.iter().position(|reply| reply.caller == new.job_id) else {
        return Ok(At::Waiting(new));
    };
    let Reply { verdict, job_id, .. } = replies.remove(at);
    match verdict {
        Some(Verdict::Applied(_) | Verdict::Duplicate(_)) => {
            let new = Box::new(JobRow { job_id, ..*new });
            // `Driver::drive_begun`: the first attempt was begun by the insert, and its lease is ours.
            let driving = Driving { job_id, failures: 0, at: DriverAt::Model(new) };
            world.replica(which).drivers.push(driving);
            Ok(At::End(job_id))
        }
        Some(Verdict::Refused(Refusal::Moved)) => Ok(At::Moved),
        Some(Verdict::Refused(_)) => Err(Answer::Ended),
        None => Err(Answer::Failed),
    }
}

/// The writer's memory.
#[derive(Debug, Default)]
pub struct Writer {
    queue: Vec<Order>,
    batch: Option<Batch>,
    replies: Vec<Reply>,
}

/// A verdict for a caller who waits.
#[derive(Debug)]
struct Reply {
    /// Which caller: by the job that it offered.
    caller: JobId,
    /// None where it is not known whether it was done.
    verdict: Option<Verdict>,
    /// The job that was written. Only a mistake makes it another one.
    job_id: JobId,
}

/// An operation that waits for its verdict, with the job that begins with it.
#[derive(Debug, Clone)]
struct Order {
    caller: JobId,
    submission: Submission,
    new: JobRow,
}

/// A batch that is being written.
#[derive(Debug)]
struct Batch {
    orders: Vec<Order>,
    /// What would be answered if the try before was committed.
    unclear: Option<Vec<Verdict>>,
    tries_left: u32,
}

impl Writer {
    pub fn has_work(&self) -> bool {
        self.batch.is_some() || !self.queue.is_empty()
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
    let answers: Vec<Option<Verdict>> = match try_commit(world, which, &batch) {
        Ok(verdicts) => verdicts.into_iter().map(Some).collect(),
        Err((failed, verdicts)) => {
            if failed == Failed::Unclear {
                batch.unclear = Some(verdicts);
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
    world.note(|| format!("{which} writes {} reservations: {answers:?}", answers.len()));
    let reply = |(order, verdict): (&Order, Option<Verdict>)| {
        let (caller, job_id) = (order.caller, order.new.job_id);
        Reply { caller, verdict, job_id }
    };
    world.replica(which).writer.replies.extend(batch.orders.iter().zip(answers).map(reply));
}

/// `LedgerWriter::try_commit`: one transaction, which after an unclear one finds out whether that happened.
fn try_commit(
    world: &mut World,
    which: Which,
    batch: &Batch,
) -> Result<Vec<Verdict>, (Failed, Vec<Verdict>)> {
    if world.is_store_down {
        return Err((Failed::Before, Vec::new()));
    }
    let mut submissions: Vec<Submission> =
        batch.orders.iter().map(|order| order.submission.clone()).collect();
    if !matches!(world.bug, Some(Bug::RequestIdIgnored | Bug::UnclearTakenForFailed)) {
        lock_rows(world, batch, &mut submissions);
    }
    let stripe = Stripe::of_writer(Uuid::from_u128(if which == Which::A { 1 } else { 2 }));
    let (verdicts, page) = world.store.ledger.apply(stripe, &submissions, world.now);
    if let Some(answers) = batch.unclear.as_ref().filter(|_| is_ours(&submissions, &verdicts)) {
        return Ok(answers.clone());
    }
    let mut tx = Tx { page: Some(page), ..Tx::default() };
    for (order, verdict) in batch.orders.iter().zip(&verdicts) {
        if matches!(verdict, Verdict::Applied(_)) {
            let until = UnixMs(world.now.0.saturating_add(LEASE_MS));
            let lease = Some((which, until));
            // `insert_in_tx`: the money counts as locked when it is written.
            let job = Job::prepaid(order.new.job.price, world.now);
            tx.jobs.push(JobRow { lease, job, wake: Some(world.now), ..order.new.clone() });
            world.note(|| format!("  prepaid job {}", short(order.new.job_id)));
        }
    }
    world.commit(tx).map(|()| verdicts.clone()).map_err(|failed| (failed, verdicts))
}

/// `PrepaidRows::lock_in_tx`: a job fits if its request has made none, also not in this batch.
fn lock_rows(world: &World, batch: &Batch, submissions: &mut [Submission]) {
    let mut taken = BTreeSet::new();
    for (order, submission) in batch.orders.iter().zip(submissions) {
        let request = (order.new.payer, order.new.request_id);
        let is_known = world.store.requests.contains_key(&request);
        submission.may_apply = !is_known && taken.insert(request);
    }
}

/// `write_ledger::is_ours`
fn is_ours(submissions: &[Submission], verdicts: &[Verdict]) -> bool {
    submissions.iter().zip(verdicts).any(|(submission, verdict)| {
        matches!(verdict, Verdict::Duplicate(posted) if posted.transaction_id == submission.transaction_id)
    })
}

/// [`Bug::UnclearTakenForFailed`]: the same orders, as if nothing had happened.
fn rename(world: &mut World, batch: &mut Batch) {
    batch.unclear = None;
    for order in &mut batch.orders {
        let new = JobRow { job_id: world.ids.job(), ..order.new.clone() };
        let Some(Ok(operation)) = new.payer.map(|payer| prepaid::reserve(payer, new.job_id, new.job.price))
        else {
            continue;
        };
        order.submission = Submission { operation, transaction_id: world.ids.transaction(), may_apply: true };
        order.new = new;
    }
}
