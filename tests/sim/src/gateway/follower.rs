//! Mirrors `tasks/follow_payments.rs`: each event changes its job or deposit once, in the transaction that notes it.

use ailayer_gateway::domain::deposit::DepositEvent;
use ailayer_gateway::domain::job::{Effect, Hold, Input};
use ailayer_gateway::domain::release::ReleaseReason;
use ailayer_payment::domain::event::EventKind;
use ailayer_primitives::JobId;

use super::deposits::{Booked, book_in_tx};
use super::jobs::{ChangeError, Changed, Facts, apply_in_tx, commit, short};
use crate::bugs::Bug;
use crate::payment::Event;
use crate::store::Tx;
use crate::world::{Which, World};

/// Where a follower is.
#[derive(Debug, Clone, Copy, Default)]
pub enum Follower {
    /// Not connected: it resumes behind the inbox's cursor.
    #[default]
    Apart,
    /// The next event is the one behind this cursor.
    Streaming(usize),
    /// The event behind this cursor brought late money, which must go back before the event is noted.
    GivingBack(usize, ReleaseReason),
    /// The event behind this cursor is noted without acting on it.
    Noting(usize),
}

/// Why following was interrupted: it resumes from the inbox's cursor.
struct Interrupted;

/// What comes after an event.
enum After {
    Next,
    GiveBack(ReleaseReason),
    Note,
}

impl Follower {
    pub fn has_work(self, events: usize) -> bool {
        !matches!(self, Self::Streaming(cursor) if cursor >= events)
    }
}

/// One write or call.
pub fn step(world: &mut World, which: Which) {
    let at = world.replica(which).follower;
    let next = match at {
        Follower::Apart => connect(world),
        Follower::Streaming(cursor) => stream(world, which, cursor),
        Follower::GivingBack(cursor, reason) => give_back(world, cursor, reason),
        Follower::Noting(cursor) => note(world, cursor),
    };
    world.replica(which).follower = next.unwrap_or(Follower::Apart);
}

/// `follow`
fn connect(world: &mut World) -> Result<Follower, Interrupted> {
    if world.payment.is_down {
        return Err(Interrupted);
    }
    let cursor = world.read(|store| store.cursor).map_err(|_| Interrupted)?;
    Ok(Follower::Streaming(usize::try_from(cursor).unwrap_or(usize::MAX)))
}

fn stream(world: &mut World, which: Which, cursor: usize) -> Result<Follower, Interrupted> {
    if world.payment.is_down {
        return Err(Interrupted);
    }
    if world.rng.chance(world.storm.stream) {
        // The stream is cut, or resumes a little before: at least once is all it promises.
        let behind = world.rng.below(4);
        return Ok(Follower::Streaming(cursor.saturating_sub(behind)));
    }
    let Some(event) = world.payment.log.get(cursor).cloned() else { return Ok(Follower::Streaming(cursor)) };
    world.note(|| {
        let job_id = JobId::new(event.invoice_id);
        format!("{which} takes in event {}: {:?} of {}", cursor.saturating_add(1), event.kind, short(job_id))
    });
    match take_in(world, &event, cursor)? {
        After::Next => Ok(Follower::Streaming(cursor.saturating_add(1))),
        After::GiveBack(reason) => Ok(Follower::GivingBack(cursor, reason)),
        After::Note => Ok(Follower::Noting(cursor)),
    }
}

/// `take_in`
fn take_in(world: &mut World, event: &Event, cursor: usize) -> Result<After, Interrupted> {
    if world.is_store_down {
        return Err(Interrupted);
    }
    let mut tx = accepted(event, cursor);
    if !is_new(world, event, cursor) {
        return world.commit(tx).map(|()| After::Next).map_err(|_| Interrupted);
    }
    let job_id = JobId::new(event.invoice_id);
    match apply_in_tx(world, &mut tx, job_id, input_of(event), None, Facts::default()) {
        Ok(changed) if is_late_money(&changed) => {
            Ok(After::GiveBack(changed.row.job.release_reason.unwrap_or(ReleaseReason::QuoteExpired)))
        }
        Ok(_) => {
            tx.acted_on = Some(event.event_id);
            commit(world, tx).map(|()| After::Next).map_err(|_| Interrupted)
        }
        Err(ChangeError::Unknown) => book(world, tx, event),
        Err(error @ (ChangeError::Refused(_) | ChangeError::Sale | ChangeError::NotPosted(_))) => {
            // Noted and passed over: waiting here would stop every other job's events.
            contradicts(world, event, &format!("{error:?}"));
            Ok(After::Note)
        }
        Err(ChangeError::Store(_)) => Err(Interrupted),
    }
}

/// `book`: an event about an invoice that is no job's.
fn book(world: &mut World, mut tx: Tx, event: &Event) -> Result<After, Interrupted> {
    let deposit_event = match event.kind {
        EventKind::HoldInvoiceAccepted => DepositEvent::Accepted,
        EventKind::HoldInvoiceClaimed => DepositEvent::Claimed { taken: event.amount },
        EventKind::HoldInvoiceReleased | EventKind::HoldInvoiceLost => DepositEvent::Returned,
        EventKind::HoldInvoiceExpired => DepositEvent::Expired,
    };
    match book_in_tx(world, &mut tx, event.invoice_id, deposit_event) {
        Ok(Booked::Done | Booked::NotOurs) => {
            tx.acted_on = Some(event.event_id);
            world.commit(tx).map(|()| After::Next).map_err(|_| Interrupted)
        }
        Ok(Booked::GiveBack) => Ok(After::GiveBack(ReleaseReason::QuoteExpired)),
        Err(()) => {
            contradicts(world, event, "the deposit is not posted");
            Ok(After::Note)
        }
    }
}

/// `telemetry::contradiction`
fn contradicts(world: &mut World, event: &Event, why: &str) {
    let what = format!("{:?} of {}: {why}", event.kind, event.invoice_id);
    world.misfit.get_or_insert(what);
}

/// `give_back`: before the event is noted, so that no crash can come between.
fn give_back(world: &mut World, cursor: usize, reason: ReleaseReason) -> Result<Follower, Interrupted> {
    let Some(id) = world.payment.log.get(cursor).map(|event| event.invoice_id) else {
        return Err(Interrupted);
    };
    let fault = world.payment_fault();
    match world.payment.release(id, reason.as_str(), world.now, fault) {
        Err(error) if error.is_transient() => Err(Interrupted),
        _ => Ok(Follower::Noting(cursor)),
    }
}

/// `note`
fn note(world: &mut World, cursor: usize) -> Result<Follower, Interrupted> {
    let Some(event) = world.payment.log.get(cursor).cloned() else { return Err(Interrupted) };
    world.commit(accepted(&event, cursor)).map_err(|_| Interrupted)?;
    Ok(Follower::Streaming(cursor.saturating_add(1)))
}

fn is_new(world: &World, event: &Event, cursor: usize) -> bool {
    let ignored = world.bug == Some(Bug::InboxIgnored);
    ignored || world.store.is_new(event.event_id, cursor_of(cursor))
}

fn accepted(event: &Event, cursor: usize) -> Tx {
    Tx { accepted: Some((event.event_id, cursor_of(cursor))), ..Tx::default() }
}

/// Cursors count from 1.
fn cursor_of(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX).saturating_add(1)
}

/// Money for a job that has ended: nothing moves, and it must go back.
fn is_late_money(changed: &Changed) -> bool {
    let gives_back = |effect: &Effect| matches!(effect, Effect::ReleaseInvoice { .. });
    !changed.transition.is_change() && changed.transition.effects.iter().any(gives_back)
}

fn input_of(event: &Event) -> Input {
    match event.kind {
        EventKind::HoldInvoiceAccepted => Input::HoldAccepted(Hold {
            amount: event.amount,
            claim_deadline_height: Some(event.deadline),
            accepted_at: event.accepted_at,
        }),
        EventKind::HoldInvoiceClaimed => Input::HoldClaimed { amount: event.amount },
        EventKind::HoldInvoiceReleased => Input::HoldReleased,
        EventKind::HoldInvoiceLost => Input::HoldLost,
        EventKind::HoldInvoiceExpired => Input::HoldExpired,
    }
}
