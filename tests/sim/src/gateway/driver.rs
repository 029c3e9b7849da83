//! Mirrors `driver.rs` and its steps, cut at every durable write and every call.

use ailayer_gateway::domain::job::{Input, Rail, Refused, State};
use ailayer_gateway::domain::ledger::{Refusal, Verdict};
use ailayer_gateway::domain::price::Usage;
use ailayer_gateway::domain::release::ReleaseReason;
use ailayer_payment::domain::hold_invoice::HoldState;
use ailayer_primitives::{AmountMsat, JobId, UnixMs};

use super::jobs::{ChangeError, Facts, apply, context, plan, short};
use super::writer::{Fit, Order, Outcome, Row};
use crate::audit::{AppendError, Receipt, Statement};
use crate::bugs::{Bug, decide};
use crate::ledger::Submission;
use crate::payment::{CallError, Fault};
use crate::serving::Served;
use crate::store::{JobRow, Store};
use crate::world::{LEASE_MS, RULES, Which, World};

/// Failures in a row after which the driver turns to other jobs.
const PATIENCE: u32 = 4;
/// Jobs taken at a time: few, so that the replicas share them.
const TAKEN_AT_ONCE: usize = 3;
/// How long a job rests, milliseconds.
const REST: u64 = 1000;
const CLAIM_AGAIN: u64 = 2000;
const WHILE_PAUSED: u64 = 1000;
const REFUSED_AGAIN: u64 = 30_000;

/// A job that is being driven.
#[derive(Debug)]
pub struct Driving {
    pub job_id: JobId,
    pub failures: u32,
    pub at: At,
    /// The job as the driver knows it.
    pub known: Option<Box<JobRow>>,
}

/// What the driver is about to do.
#[derive(Debug)]
pub enum At {
    /// `steps`: read the job.
    Load,
    /// `step`: whatever has run out ends.
    Tick,
    /// `run`: the tip was asked for; begin an attempt.
    Begin { tip: Option<u32> },
    /// `attempt`: the model works.
    Model(Box<JobRow>),
    /// `complete`: store answer and receipt.
    Complete { attempt: u32, receipt: Receipt, output: u64 },
    /// `work`: the attempt failed for good.
    Fail { attempt: u32, reason: ReleaseReason },
    /// `append_and_authorise`: append the receipt.
    Append(Box<JobRow>),
    /// `append_and_authorise`: the receipt is in the log; ask for the tip.
    AskTip { leaf_index: usize, rail: Rail },
    /// `append_and_authorise`: authorise the claim by that tip.
    Authorise { leaf_index: usize, tip: Option<u32> },
    /// `not_appended`: the log refuses for good.
    AppendRefused,
    /// `claim`
    Claim { version: u64 },
    /// `release`: have the money given back.
    Release { version: u64, reason: ReleaseReason },
    /// `release`: the payment service says that it is.
    Released,
    /// `Jobs::apply_to`: the writer has the change of a prepaid job, under this ticket; the row as it will be.
    Write { ticket: u64, after: Box<JobRow> },
    /// `leased`: give the lease back; due again after so long, unless the job has changed since that version.
    GiveBack(Option<(u64, u64)>),
}

/// What came of a step: mirrors `driver::Next`.
enum Next {
    Again,
    /// The job is like this now.
    Changed(Box<JobRow>),
    Rest(u64, u64),
    Retry,
    Done,
    /// On to another write of the same step.
    To(At),
}

/// `tasks::drive_jobs`: takes the lease of jobs that are due (`leases::take`), in both lanes.
pub fn take_jobs(world: &mut World, which: Which) {
    let now = world.now;
    let until = UnixMs(now.0.saturating_add(LEASE_MS));
    let take = move |store: &mut Store| {
        let is_due = |row: &&mut JobRow| {
            let is_free = row.lease.is_none_or(|(_, until)| until <= now);
            row.wake.is_some_and(|wake| wake <= now) && is_free
        };
        let mut taken = Vec::new();
        for row in store.jobs.values_mut().filter(is_due).take(TAKEN_AT_ONCE) {
            row.lease = Some((which, until));
            taken.push(row.job_id);
        }
        taken
    };
    let Ok(taken) = world.write(take) else { return };
    for job_id in taken {
        world.note(|| format!("{which} takes job {}", short(job_id)));
        world.replica(which).drivers.push(Driving { job_id, failures: 0, at: At::Load, known: None });
    }
}

/// `keep_lease`: prolongs a lease, or stops driving when another replica has it.
pub fn renew_lease(world: &mut World, which: Which, at: usize) {
    let Some(job_id) = world.replica(which).drivers.get(at).map(|driving| driving.job_id) else { return };
    let until = UnixMs(world.now.0.saturating_add(LEASE_MS));
    let renewed = world.write(|store| {
        let row =
            store.jobs.get_mut(&job_id).filter(|row| row.lease.is_some_and(|(owner, _)| owner == which));
        row.map(|row| row.lease = Some((which, until)))
    });
    if renewed == Ok(None) {
        world.note(|| format!("{which} has lost the lease of job {}", short(job_id)));
        world.replica(which).drivers.remove(at);
    }
}

/// One write or call of one driver.
pub fn step(world: &mut World, which: Which, at: usize) {
    if at >= world.replica(which).drivers.len() {
        return;
    }
    let mut driving = world.replica(which).drivers.remove(at);
    let job_id = driving.job_id;
    world.note(|| format!("{which} drives job {}: {}", short(job_id), name(&driving.at)));
    let applied = |world: &mut World, known: &Option<Box<JobRow>>, input, tip, facts| match known {
        Some(row) if row.job.rail == Rail::Prepaid => apply_to(world, which, row, input, facts),
        _ => applied(world, job_id, input, tip, facts),
    };
    let known = &mut driving.known;
    let next = match driving.at {
        At::Load => load(world, job_id, known),
        At::Tick => applied(world, known, Input::Tick, None, Facts::default()),
        At::Begin { tip } => begin(world, job_id, tip, known),
        At::Model(running) => attempt(world, running),
        At::Complete { attempt, receipt, output } => {
            let facts = Facts { answer: Some((receipt, output)), ..Facts::default() };
            applied(world, known, Input::Answered { attempt, charge: receipt.charge }, None, facts)
        }
        At::Fail { attempt, reason } => {
            applied(world, known, Input::AttemptFailed { attempt, reason }, None, Facts::default())
        }
        At::Append(row) => append(world, &row),
        At::AskTip { leaf_index, rail } => {
            let tip = if rail == Rail::Hold { ask_tip(world) } else { None };
            Next::To(At::Authorise { leaf_index, tip })
        }
        At::Authorise { leaf_index, tip } => {
            let facts = Facts { leaf_index: Some(leaf_index), ..Facts::default() };
            applied(world, known, Input::ReceiptAppended, tip, facts)
        }
        At::AppendRefused => applied(world, known, Input::AppendRefused, None, Facts::default()),
        At::Claim { version } => claim(world, job_id, version),
        At::Release { version, reason } => release(world, job_id, version, reason),
        At::Released => applied(world, known, Input::ReleaseConfirmed, None, Facts::default()),
        At::Write { ticket, after } => written(world, which, ticket, after),
        At::GiveBack(rest) => return give_back(world, which, job_id, rest),
    };
    driving.at = match next {
        Next::To(at) => at,
        Next::Again => {
            driving.failures = 0;
            At::Load
        }
        Next::Changed(row) => {
            driving.failures = 0;
            driving.known = Some(row.clone());
            match look(world, *row) {
                Next::To(at) => at,
                Next::Rest(version, rest) => At::GiveBack(Some((version, rest))),
                // Its lease has ended with it.
                _ => return,
            }
        }
        Next::Done => At::GiveBack(None),
        Next::Rest(version, rest) => At::GiveBack(Some((version, rest))),
        // Without the job's version nothing is said about when it is due: it is due at once.
        Next::Retry if driving.failures >= PATIENCE => {
            let version = world.store.jobs.get(&job_id).map(|row| row.version);
            At::GiveBack(version.map(|version| (version, REST)))
        }
        Next::Retry => {
            driving.failures = driving.failures.saturating_add(1);
            At::Load
        }
    };
    world.replica(which).drivers.push(driving);
}

/// `steps`: the job is read.
fn load(world: &mut World, job_id: JobId, known: &mut Option<Box<JobRow>>) -> Next {
    let Ok(Some(row)) = world.read(|store| store.jobs.get(&job_id).cloned()) else { return Next::Done };
    *known = Some(Box::new(row.clone()));
    look(world, row)
}

/// `step`
fn look(world: &mut World, row: JobRow) -> Next {
    let tick = decide(world.bug, &row.job, Input::Tick, &context(world, None));
    if tick.is_ok_and(|transition| transition.is_change()) {
        return Next::To(At::Tick);
    }
    match row.job.state {
        State::Quoted => {
            let rest = row.job.expiry.0.saturating_sub(world.now.0).saturating_add(1);
            Next::Rest(row.version, rest)
        }
        State::Held | State::Running => {
            let tip = if row.job.rail == Rail::Hold { ask_tip(world) } else { None };
            Next::To(At::Begin { tip })
        }
        State::Completed => deliver(world, row),
        State::Taking => Next::To(At::Claim { version: row.version }),
        State::Releasing => {
            let reason = row.job.release_reason.unwrap_or(ReleaseReason::Canceled);
            Next::To(At::Release { version: row.version, reason })
        }
        State::Settled | State::Lost | State::Failed | State::Canceled | State::Expired => Next::Done,
    }
}

/// `deliver`: the buyer's turn, or ours.
fn deliver(world: &World, row: JobRow) -> Next {
    if let Some(until) = row.job.acknowledge_until(&context(world, None)) {
        return Next::Rest(row.version, until.0.saturating_sub(world.now.0).saturating_add(1));
    }
    if world.are_claims_paused {
        return Next::Rest(row.version, WHILE_PAUSED);
    }
    match row.leaf_index {
        Some(leaf_index) => Next::To(At::AskTip { leaf_index, rail: row.job.rail }),
        None => Next::To(At::Append(Box::new(row))),
    }
}

/// `tip`: an old tip proves nothing.
fn ask_tip(world: &mut World) -> Option<u32> {
    if world.rng.chance(world.storm.payment) { None } else { world.payment.tip() }
}

/// `apply`: a stale input means that somebody else was faster.
fn applied(world: &mut World, job_id: JobId, input: Input, tip: Option<u32>, facts: Facts) -> Next {
    match apply(world, job_id, input, tip, facts) {
        Ok(_) | Err(ChangeError::Refused(Refused::Stale(_))) => Next::Again,
        Err(_) => Next::Retry,
    }
}

/// `Jobs::apply_to`: decided on the job as it is known, and handed to the writer.
fn apply_to(world: &mut World, which: Which, known: &JobRow, input: Input, facts: Facts) -> Next {
    let context = context(world, None);
    let transition = match decide(world.bug, &known.job, input, &context) {
        Ok(transition) if transition.is_change() => transition,
        Ok(_) | Err(Refused::Stale(_)) => return Next::Again,
        Err(_) => return Next::Retry,
    };
    let Ok(plan) = plan(world, known.clone(), &transition, facts) else { return Next::Retry };
    let ticket = world.ids.number();
    let after = Box::new(plan.after.clone());
    let submission = plan.posting.clone().map(|operation| Submission {
        operation,
        transaction_id: world.ids.transaction(),
        may_apply: true,
    });
    let order = Order { ticket, submission, row: Row::Change(Box::new(plan)) };
    world.replica(which).writer.submit(order);
    Next::To(At::Write { ticket, after })
}

/// `Jobs::write`
fn written(world: &mut World, which: Which, ticket: u64, after: Box<JobRow>) -> Next {
    let Some(reply) = world.replica(which).writer.reply(ticket) else {
        return Next::To(At::Write { ticket, after });
    };
    match reply.outcome {
        Some(Outcome::Operation(Verdict::Applied(_)) | Outcome::Change(Fit::Fits | Fit::Written)) => {
            Next::Changed(after)
        }
        Some(
            Outcome::Operation(Verdict::Refused(Refusal::Moved) | Verdict::Duplicate(_))
            | Outcome::Change(Fit::Moved),
        ) => Next::Again,
        Some(Outcome::Operation(Verdict::Refused(_))) | None => Next::Retry,
    }
}

/// `run`
fn begin(world: &mut World, job_id: JobId, tip: Option<u32>, known: &mut Option<Box<JobRow>>) -> Next {
    match apply(world, job_id, Input::BeginAttempt, tip, Facts::default()) {
        Ok(changed) if changed.row.job.state == State::Running => {
            *known = Some(Box::new(changed.row.clone()));
            Next::To(At::Model(Box::new(changed.row)))
        }
        Ok(_) | Err(ChangeError::Refused(Refused::Stale(_))) => Next::Again,
        Err(_) => Next::Retry,
    }
}

/// `attempt`, and the receipt of `complete`
fn attempt(world: &mut World, running: Box<JobRow>) -> Next {
    let held_at = running.job.hold.map_or(UnixMs(0), |hold| hold.accepted_at);
    if world.now.0 >= held_at.0.saturating_add(RULES.run_limit_ms) {
        return Next::Again;
    }
    let version = world.store.jobs.get(&running.job_id).map(|row| row.version);
    // Another replica's change is noticed by polling: sometimes too late.
    if version != Some(running.version) && world.rng.chance(50) {
        return Next::Again;
    }
    if running.job.seal.is_some() && !has_seal_key(world, running.job_id) {
        return Next::Retry;
    }
    let attempt = running.job.attempt;
    let exact = running.job.rail == Rail::Hold;
    match world.serving.embed(running.tokens, exact, world.storm.serving, &mut world.rng) {
        Served::Answer { tokens } => {
            let charge = charge(&running, tokens);
            let nonce = world.ids.number();
            let receipt = Receipt { job_id: running.job_id, attempt, charge, nonce };
            Next::To(At::Complete { attempt, receipt, output: nonce })
        }
        Served::Transient => Next::Retry,
        Served::Failed(reason) => Next::To(At::Fail { attempt, reason }),
        Served::Hangs => Next::To(At::Model(running)),
    }
}

/// `result_key`: asked for before the model.
fn has_seal_key(world: &mut World, job_id: JobId) -> bool {
    let is_accepted =
        world.payment.rows.get(&job_id.uuid()).is_some_and(|row| row.state == HoldState::Accepted);
    is_accepted && !world.payment.is_down && world.payment_fault() == Fault::Fine
}

/// `charge`: the exact price that was held, or what was used, at most the cap.
fn charge(running: &JobRow, tokens: u64) -> AmountMsat {
    let quoted = running.job.price;
    match running.job.rail {
        Rail::Hold => quoted,
        Rail::Prepaid => running.price.of(&Usage::tokens(tokens)).unwrap_or(quoted).min(quoted),
    }
}

/// Row 7
fn append(world: &mut World, row: &JobRow) -> Next {
    let rail = row.job.rail;
    let Some(receipt) = row.receipt else { return Next::Retry };
    if world.bug == Some(Bug::ClaimBeforeAppend) {
        return Next::To(At::AskTip { leaf_index: 0, rail });
    }
    let fault = world.append_fault(true);
    match world.audit.append(Statement::Receipt(receipt), fault) {
        Ok(leaf_index) => Next::To(At::AskTip { leaf_index, rail }),
        Err(AppendError::Late) => Next::Retry,
        Err(AppendError::Refused) => Next::To(At::AppendRefused),
    }
}

/// Row 9
fn claim(world: &mut World, job_id: JobId, version: u64) -> Next {
    let fault = world.payment_fault();
    match world.payment.claim(job_id.uuid(), world.now, fault) {
        Ok(_) | Err(CallError::DeadlineTooClose | CallError::InvalidState) => {
            Next::Rest(version, CLAIM_AGAIN)
        }
        Err(error) if error.is_transient() => Next::Retry,
        Err(_) => Next::Rest(version, REFUSED_AGAIN),
    }
}

/// Rows R2 and R3
fn release(world: &mut World, job_id: JobId, version: u64, reason: ReleaseReason) -> Next {
    let fault = world.payment_fault();
    match world.payment.release(job_id.uuid(), reason.as_str(), world.now, fault) {
        Ok(invoice) if matches!(invoice.state, HoldState::Released | HoldState::Expired) => {
            Next::To(At::Released)
        }
        Ok(_) => Next::Rest(version, CLAIM_AGAIN),
        Err(error) if error.is_transient() => Next::Retry,
        Err(_) => Next::Rest(version, REFUSED_AGAIN),
    }
}

/// `leases::give_back`
fn give_back(world: &mut World, which: Which, job_id: JobId, rest: Option<(u64, u64)>) {
    let now = world.now;
    // If it fails, the lease lapses.
    let _ = world.write(|store| {
        let Some(row) = store.jobs.get_mut(&job_id) else { return };
        if !row.lease.is_some_and(|(owner, _)| owner == which) {
            return;
        }
        row.lease = None;
        if let Some((version, rest)) = rest
            && row.version == version
        {
            row.wake = Some(UnixMs(now.0.saturating_add(rest)));
        }
    });
}

const fn name(at: &At) -> &'static str {
    match at {
        At::Load => "read",
        At::Tick => "time is over",
        At::Begin { .. } => "begin an attempt",
        At::Model(_) => "ask the model",
        At::Complete { .. } => "store the answer",
        At::Fail { .. } => "store the failure",
        At::Append(_) => "append the receipt",
        At::AskTip { .. } => "ask for the tip",
        At::Authorise { .. } => "authorise the claim",
        At::AppendRefused => "store the log's refusal",
        At::Claim { .. } => "claim",
        At::Release { .. } => "release",
        At::Released => "store the release",
        At::Write { .. } => "wait for the writer",
        At::GiveBack(_) => "give the lease back",
    }
}
