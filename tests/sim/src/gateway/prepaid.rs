//! Mirrors `prepaid.rs`: a job that begins with its reservation, and ends within the same call if all goes well.

use ailayer_gateway::domain::job::Job;
use ailayer_gateway::domain::ledger::{Refusal, Verdict, prepaid};
use ailayer_gateway::domain::price::Usage;
use ailayer_primitives::JobId;

use super::driver::{At as DriverAt, Driving};
use super::quotes::price;
use super::writer::{Order, Outcome, Row};
use crate::bugs::Bug;
use crate::buyers::{Answer, Want};
use crate::ledger::Submission;
use crate::store::JobRow;
use crate::world::{Which, World};

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
    /// `run_new`: offer it as if it were new.
    Offer,
    /// `begin`: hand the order to the writer.
    Submit(Box<JobRow>),
    /// `begin`: the writer has it, under this ticket.
    Waiting(Box<JobRow>, u64),
    /// `run`: it did not begin; its request may have made a job before, or a twin was faster. The answer if not.
    LookUp(Answer),
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
        At::Offer => offer(world, which, order, body),
        At::Submit(new) => submit(world, which, new),
        At::Waiting(new, ticket) => Ok(wait(world, which, new, ticket)),
        At::LookUp(otherwise) => match known(world, order, body) {
            Ok(Found::Job(job_id)) => Ok(At::End(job_id)),
            Ok(Found::None) => Err(otherwise),
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

/// `Prepaid::offer`: now and then it fails for a reason of its own, as when the model is not loaded.
fn offer(world: &mut World, which: Which, order: usize, body: u64) -> Result<At, Answer> {
    if world.rng.chance(20) {
        return Ok(At::LookUp(Answer::Failed));
    }
    let order = world.buyers.order(order).ok_or(Answer::Failed)?;
    let Want::Prepaid(account) = order.want else { return Err(Answer::Failed) };
    let cap = price().of(&Usage::tokens(order.tokens)).map_err(|_| Answer::Failed)?;
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
    let ticket = world.ids.number();
    let order = Order { ticket, submission: Some(submission), row: Row::Begin(new.clone()) };
    world.replica(which).writer.submit(order);
    Ok(At::Waiting(new, ticket))
}

fn wait(world: &mut World, which: Which, new: Box<JobRow>, ticket: u64) -> At {
    let Some(reply) = world.replica(which).writer.reply(ticket) else { return At::Waiting(new, ticket) };
    match reply.outcome {
        Some(Outcome::Operation(Verdict::Applied(_) | Verdict::Duplicate(_))) => {
            // `Driver::drive_begun`: the first attempt was begun by the insert, and its lease is ours.
            let job_id = reply.written.as_ref().map_or(new.job_id, |row| row.job_id);
            let row = reply.written.unwrap_or(new);
            let known = Some(row.clone());
            let driving = Driving { job_id, failures: 0, at: DriverAt::Model(row), known };
            world.replica(which).drivers.push(driving);
            At::End(job_id)
        }
        // There is room again by now: the caller may come back at once.
        Some(Outcome::Operation(Verdict::Refused(Refusal::Moved))) => At::LookUp(Answer::Failed),
        Some(_) => At::LookUp(Answer::Ended),
        None => At::LookUp(Answer::Failed),
    }
}
