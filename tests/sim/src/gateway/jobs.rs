//! Mirrors `services/gateway/src/jobs.rs`, `jobs/plan.rs` and `store/transitions.rs`: every change of a job, in one transaction.

use ailayer_gateway::domain::job::{Context, Effect, Input, Job, Outcome, Refused, State, Transition};
use ailayer_gateway::domain::ledger::{CustomerId, Operation, Stripe, Verdict, prepaid, sale};
use ailayer_primitives::{AmountMsat, JobId, UnixMs};

use crate::audit::{Closing, Receipt};
use crate::bugs::{Bug, decide};
use crate::ledger::Submission;
use crate::store::{JobRow, OutboxItem, SuspenseItem, Tx};
use crate::world::{Failed, RULES, World};

/// Why a job was not changed.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "the trace shows what is in it")]
pub enum ChangeError {
    Unknown,
    Refused(Refused),
    /// The amounts are none.
    Sale,
    NotPosted(Verdict),
    Store(Failed),
}

/// What is stored together with a change of state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Facts {
    pub answer: Option<(Receipt, u64)>,
    pub leaf_index: Option<usize>,
}

/// A decided input.
#[derive(Debug)]
pub struct Changed {
    pub row: JobRow,
    pub transition: Transition,
}

pub fn context(world: &World, tip_height: Option<u32>) -> Context {
    Context { now: world.now, tip_height, rules: RULES }
}

/// `Jobs::apply`
pub fn apply(
    world: &mut World,
    job_id: JobId,
    input: Input,
    tip: Option<u32>,
    facts: Facts,
) -> Result<Changed, ChangeError> {
    if world.is_store_down {
        return Err(ChangeError::Store(Failed::Before));
    }
    let mut tx = Tx::default();
    let changed = apply_in_tx(world, &mut tx, job_id, input, tip, facts)?;
    let (from, to) = (changed.transition.from, changed.transition.to);
    world.note(|| format!("  job {} {input:?}: {from} -> {to}", short(job_id)));
    commit(world, tx).map_err(ChangeError::Store)?;
    Ok(changed)
}

/// Commits; with [`Bug::ClosingLost`] the outbox is written behind it, if the process is still there.
pub fn commit(world: &mut World, mut tx: Tx) -> Result<(), Failed> {
    if world.bug != Some(Bug::ClosingLost) || tx.outbox.is_empty() {
        return world.commit(tx);
    }
    let outbox = std::mem::take(&mut tx.outbox);
    world.commit(tx)?;
    if world.rng.chance(10) {
        return Ok(());
    }
    world.commit(Tx { outbox, ..Tx::default() })
}

/// `Jobs::apply_in_tx`
pub fn apply_in_tx(
    world: &mut World,
    tx: &mut Tx,
    job_id: JobId,
    input: Input,
    tip: Option<u32>,
    facts: Facts,
) -> Result<Changed, ChangeError> {
    let before = world.store.jobs.get(&job_id).cloned().ok_or(ChangeError::Unknown)?;
    let context = context(world, tip);
    let transition = decide(world.bug, &before.job, input, &context).map_err(ChangeError::Refused)?;
    if !transition.is_change() {
        return Ok(Changed { row: before, transition });
    }
    let plan = plan(world, before, &transition, facts)?;
    if let Some(end) = plan.posting {
        post_in_tx(world, tx, job_id, end)?;
    }
    tx.suspense.extend(plan.surplus);
    tx.outbox.extend(plan.outbox);
    tx.jobs.push(plan.after.clone());
    Ok(Changed { row: plan.after, transition })
}

/// `jobs::plan::Plan`: a decided change with everything that is written in its commit.
#[derive(Debug, Clone)]
pub struct Plan {
    pub before: JobRow,
    pub after: JobRow,
    pub posting: Option<Operation>,
    pub surplus: Option<SuspenseItem>,
    pub outbox: Option<OutboxItem>,
}

/// `Plan::new`
pub fn plan(
    world: &mut World,
    before: JobRow,
    transition: &Transition,
    facts: Facts,
) -> Result<Plan, ChangeError> {
    let (job_id, price) = (before.job_id, before.job.price);
    let mut after = written(&before, transition, &facts, world.now);
    let (mut posting, mut surplus, mut outbox) = (None, None, None);
    for effect in &transition.effects {
        match *effect {
            Effect::PostSettlement { amount } => {
                after.taken = Some(amount);
                let beyond = amount.checked_sub(price).ok().filter(|beyond| *beyond > AmountMsat::ZERO);
                surplus = beyond.map(|amount| SuspenseItem { source_id: job_id.uuid(), amount });
                let sale = sale::settled(job_id, price, amount).map_err(|_| ChangeError::Sale)?;
                posting = Some(sale).filter(|_| world.bug != Some(Bug::SettleNotPosted));
            }
            Effect::PostWriteOff => {
                posting = Some(sale::lost(job_id, price).map_err(|_| ChangeError::Sale)?);
            }
            Effect::Capture { amount } => {
                after.taken = Some(amount);
                let capture = prepaid::capture(payer(&before)?, job_id, amount);
                posting = Some(capture.map_err(|_| ChangeError::Sale)?);
            }
            Effect::Void => {
                let void = prepaid::void(payer(&before)?, job_id).map_err(|_| ChangeError::Sale)?;
                posting = Some(void).filter(|_| world.bug != Some(Bug::VoidSkipped));
            }
            Effect::AppendClosing { outcome } => {
                outbox = closing(world, &before, outcome, after.taken);
                after.closing = outbox.as_ref().map(|item| item.closing);
            }
            // Calls: made by the driver, which finds them by the job's state.
            Effect::RunModel { .. }
            | Effect::AppendReceipt
            | Effect::ClaimInvoice
            | Effect::ReleaseInvoice { .. } => {}
        }
    }
    Ok(Plan { before, after, posting, surplus, outbox })
}

/// `store::transitions::write_in_tx`: the row as it will be.
fn written(before: &JobRow, transition: &Transition, facts: &Facts, now: UnixMs) -> JobRow {
    let job = before.job.after(transition, now);
    // An answer that came too late is not kept.
    let answer = facts.answer.filter(|_| transition.to == State::Completed);
    JobRow {
        version: before.version.saturating_add(1),
        receipt: answer.map(|(receipt, _)| receipt).or(before.receipt),
        output: answer.map(|(_, output)| output).or(before.output),
        leaf_index: facts.leaf_index.or(before.leaf_index),
        wake: wake(&job, now),
        // Nobody drives what has ended.
        lease: before.lease.filter(|_| !job.state.is_terminal()),
        job,
        ..before.clone()
    }
}

fn wake(job: &Job, now: UnixMs) -> Option<UnixMs> {
    match job.state {
        state if state.is_terminal() => None,
        State::Quoted => Some(job.expiry),
        _ => Some(now),
    }
}

/// `plan::closing`, on its way to the log
fn closing(
    world: &mut World,
    before: &JobRow,
    outcome: Outcome,
    taken: Option<AmountMsat>,
) -> Option<OutboxItem> {
    let receipt = before.receipt?;
    let amount = match outcome {
        Outcome::Settled => taken.or(before.job.charge).unwrap_or(before.job.price),
        Outcome::Voided => AmountMsat::ZERO,
        Outcome::Lost => before.job.price,
    };
    let closing = Closing { receipt, outcome, amount };
    let id = world.ids.number();
    Some(OutboxItem { id, job_id: before.job_id, closing, due: world.now, attempts: 0 })
}

/// `jobs::post_in_tx`: the one transaction that ends a job in the books.
fn post_in_tx(world: &mut World, tx: &mut Tx, job_id: JobId, end: Operation) -> Result<(), ChangeError> {
    let submission = Submission { operation: end, transaction_id: world.ids.transaction(), may_apply: true };
    let (verdicts, page) = world.store.ledger.apply(Stripe::of_job(job_id), &[submission], world.now);
    tx.page = Some(page);
    match verdicts.first() {
        Some(Verdict::Applied(_)) => Ok(()),
        Some(verdict) => Err(ChangeError::NotPosted(*verdict)),
        None => Err(ChangeError::Sale),
    }
}

fn payer(row: &JobRow) -> Result<CustomerId, ChangeError> {
    row.payer.ok_or(ChangeError::Unknown)
}

/// The end of an id, for the trace.
pub fn short(job_id: JobId) -> String {
    job_id.uuid().as_u128().to_le_bytes().first().map_or_else(String::new, |byte| format!("#{byte}"))
}
