//! The payment service: its real rules over rows in memory, its event log, its guard.
//!
//! Mirrors `services/payment/src/service/holds.rs`: decide, write row and event in one commit, then tell the node.

use std::collections::{BTreeMap, BTreeSet};

use ailayer_payment::domain::event::EventKind;
use ailayer_payment::domain::hold_invoice::{
    Claimable, Conditions, HoldInvoice, HoldState, Input, Margins, NodeCall, Refused, Terms, decide,
};
use ailayer_payment::domain::invoice_id::InvoiceId;
use ailayer_primitives::{AmountMsat, Digest, PaymentHash, UnixMs};
use uuid::Uuid;

use crate::node::{Node, NodeEvent};

const MARGINS: Margins = Margins { claim_blocks: 2, guard_blocks: 1 };
/// Holds that may be accepted at once: few, so that the limit is met.
const MAX_ACCEPTED: usize = 8;

/// An entry of the event log; its cursor is its place, from 1.
#[derive(Debug, Clone)]
pub struct Event {
    pub event_id: Uuid,
    pub kind: EventKind,
    pub invoice_id: Uuid,
    pub amount: AmountMsat,
    pub deadline: u32,
    pub accepted_at: UnixMs,
}

/// What befalls one call, or the handling of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Fine,
    /// Nothing happens.
    Unreachable,
    /// Everything happens, and the caller does not learn of it.
    ReplyLost,
    /// The service dies behind its write: the node is not told.
    CrashBehindWrite,
    /// The service dies when it has told the node.
    CrashBehindCall,
    /// The node does not answer the service.
    NodeSilent,
}

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    Unavailable,
    NotSynced,
    InvalidState,
    DeadlineTooClose,
    IdReused,
    NotFound,
    Internal,
}

impl CallError {
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unavailable | Self::NotSynced)
    }
}

impl From<Refused> for CallError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::InvalidState(_) => Self::InvalidState,
            Refused::DeadlineTooClose { .. } => Self::DeadlineTooClose,
            Refused::Unauthorised(_) => Self::Internal,
        }
    }
}

/// The service.
#[derive(Debug)]
pub struct Payment {
    pub rows: BTreeMap<Uuid, HoldInvoice>,
    pub log: Vec<Event>,
    pub node: Node,
    pub is_down: bool,
    /// The node answers no call, for a while.
    pub is_node_silent: bool,
    /// Receipts that no row authorised. There must be none.
    pub unexpected: u32,
    pub touched: BTreeSet<Uuid>,
}

type Answer = Result<HoldInvoice, CallError>;

impl Payment {
    pub fn new(height: u32) -> Self {
        Self {
            rows: BTreeMap::new(),
            log: Vec::new(),
            node: Node::new(height),
            is_down: false,
            is_node_silent: false,
            unexpected: 0,
            touched: BTreeSet::new(),
        }
    }

    /// The tip as callers may believe it; none while the node is not in sync or nobody answers.
    pub fn tip(&self) -> Option<u32> {
        (!self.is_down && self.node.is_synced).then_some(self.node.height)
    }

    /// Mirrors `holds/create.rs`.
    pub fn create(
        &mut self,
        id: Uuid,
        amount: AmountMsat,
        expiry_s: u32,
        now: UnixMs,
        fault: Fault,
    ) -> Answer {
        self.reach(fault)?;
        let terms = Terms { amount, description_hash: Digest::sha256(id.as_bytes()), expiry_s };
        if !self.rows.contains_key(&id) {
            self.check_synced()?;
            let intent = HoldInvoice::intent(invoice_id(id)?, hash(id), terms, now.to_s());
            self.put(id, intent);
            self.behind_write(fault)?;
        }
        let row = self.row(id)?;
        match row.terms {
            None => return Err(CallError::InvalidState),
            Some(stored) if stored != terms => return Err(CallError::IdReused),
            Some(_) => {}
        }
        if decide(&row, &Input::Create, MARGINS)?.call == Some(NodeCall::MakeInvoice) {
            self.check_synced()?;
            if self.is_node_silent || fault == Fault::NodeSilent {
                return Err(CallError::Unavailable);
            }
            let expiry = UnixMs(now.0.saturating_add(u64::from(expiry_s).saturating_mul(1000)));
            self.node.make_invoice(id, amount, expiry);
            self.behind_call(fault)?;
            let opened = decide(&row, &Input::Opened, MARGINS)?;
            let mut open = row.after(&opened, None, now);
            open.bolt11 = "an invoice".to_owned();
            open.expiry = expiry.to_s();
            self.put(id, open);
        }
        self.reply(id, fault)
    }

    /// Mirrors `Holds::claim`.
    pub fn claim(&mut self, id: Uuid, now: UnixMs, fault: Fault) -> Answer {
        self.reach(fault)?;
        if self.row(id)?.state == HoldState::Accepted {
            self.check_synced()?;
        }
        let call = self.step(id, None, Input::RequestClaim { tip: self.node.height }, now)?;
        self.behind_write(fault)?;
        self.tell(id, call, fault);
        self.behind_call(fault)?;
        self.reply(id, fault)
    }

    /// Mirrors `Holds::release`: an unknown id leaves a tombstone.
    pub fn release(&mut self, id: Uuid, reason: &str, now: UnixMs, fault: Fault) -> Answer {
        self.reach(fault)?;
        if !self.rows.contains_key(&id) {
            let tombstone = HoldInvoice::tombstone(invoice_id(id)?, hash(id), reason.to_owned());
            self.tell_all(id, EventKind::HoldInvoiceReleased, &tombstone, now);
            self.put(id, tombstone);
            return self.reply(id, fault);
        }
        let call = self.step(id, Some(reason), Input::RequestRelease, now)?;
        self.behind_write(fault)?;
        self.finish(id, call, now, fault)?;
        self.reply(id, fault)
    }

    /// Mirrors `tasks/handle_node_events.rs`: durable here first, dropped there afterwards.
    pub fn handle_event(&mut self, now: UnixMs, fault: Fault) {
        let Some(event) = self.node.events.front().copied() else { return };
        if self.is_down || fault == Fault::Unreachable {
            return;
        }
        // On an error the event stays, and comes again.
        if self.on_event(event, now, fault).is_ok() && fault != Fault::ReplyLost {
            self.node.events.pop_front();
        }
    }

    fn on_event(&mut self, event: NodeEvent, now: UnixMs, fault: Fault) -> Result<(), CallError> {
        match event {
            NodeEvent::Claimable { invoice_id, amount, deadline } => {
                let money = Claimable { amount, claim_deadline_height: Some(deadline) };
                let held = self.rows.values().filter(|row| row.state.holds_money()).count();
                let conditions = Conditions {
                    tip: self.node.height,
                    in_sync: self.node.is_synced,
                    slot_free: held < MAX_ACCEPTED,
                };
                let call = self.step(invoice_id, None, Input::Claimable { money, conditions }, now)?;
                self.behind_write(fault)?;
                self.finish(invoice_id, call, now, fault)
            }
            NodeEvent::Received { invoice_id, amount } => {
                let received = self.step(invoice_id, None, Input::Received { amount }, now);
                if received == Err(CallError::Internal) {
                    self.unexpected = self.unexpected.saturating_add(1);
                    return Ok(());
                }
                received.map(drop)?;
                self.behind_write(fault)
            }
        }
    }

    /// One round of the guard; mirrors `Holds::tick`.
    pub fn tick(&mut self, now: UnixMs, fault: Fault) {
        if self.is_down {
            return;
        }
        let drained = self.node.is_synced && self.node.events.is_empty();
        let due: Vec<Uuid> =
            self.rows.iter().filter(|(_, row)| is_due(row.state)).map(|(id, _)| *id).collect();
        for id in due {
            let events_drained = drained && !self.node.has_taken(id);
            // To the second, as the service's own clock is: an invoice can be paid until its last second is over.
            let tick = Input::Tick { tip: self.node.height, now: now.to_s(), events_drained };
            let Ok(call) = self.step(id, None, tick, now) else { continue };
            let ended = self.behind_write(fault).and_then(|()| self.finish(id, call, now, fault));
            if ended.is_err() && self.is_down {
                return;
            }
        }
    }

    /// Mirrors the start of the service: `Holds::fail_back_again`.
    pub fn restart(&mut self, height: u32) {
        self.is_down = false;
        self.node.is_synced = true;
        self.node.see(height);
        let tip = self.node.height;
        // As `find_to_fail_back`: never where a claim was authorised.
        let to_fail = |row: &HoldInvoice| {
            row.fail_back_until_height.is_some_and(|until| tip < until)
                && matches!(
                    row.state,
                    HoldState::Intent
                        | HoldState::ReleaseRequested
                        | HoldState::Released
                        | HoldState::Expired
                )
        };
        let again: Vec<Uuid> = self.rows.iter().filter(|(_, row)| to_fail(row)).map(|(id, _)| *id).collect();
        again.into_iter().for_each(|id| self.node.fail_back(id));
    }

    /// Decides, and writes row and event in one commit; mirrors `Holds::step`.
    fn step(
        &mut self,
        id: Uuid,
        reason: Option<&str>,
        input: Input,
        now: UnixMs,
    ) -> Result<Option<NodeCall>, CallError> {
        let before = self.row(id)?;
        let transition = decide(&before, &input, MARGINS)?;
        let after = before.after(&transition, reason, now);
        if after != before {
            if let Some(kind) = transition.event {
                self.tell_all(id, kind, &after, now);
            }
            self.put(id, after);
        }
        Ok(transition.call)
    }

    /// Tells the node, and completes a release once it was told; mirrors `Holds::finish`.
    fn finish(
        &mut self,
        id: Uuid,
        call: Option<NodeCall>,
        now: UnixMs,
        fault: Fault,
    ) -> Result<(), CallError> {
        let told = self.tell(id, call, fault);
        self.behind_call(fault)?;
        if told && self.row(id)?.state == HoldState::ReleaseRequested {
            self.step(id, None, Input::FailedBack, now)?;
        }
        Ok(())
    }

    fn tell(&mut self, id: Uuid, call: Option<NodeCall>, fault: Fault) -> bool {
        if call.is_some() && (self.is_node_silent || fault == Fault::NodeSilent) {
            return false;
        }
        match call {
            Some(NodeCall::Claim) => self.node.claim(id),
            Some(NodeCall::FailBack) => self.node.fail_back(id),
            Some(NodeCall::MakeInvoice) | None => {}
        }
        true
    }

    fn tell_all(&mut self, id: Uuid, kind: EventKind, row: &HoldInvoice, now: UnixMs) {
        let place = u128::try_from(self.log.len()).unwrap_or(0) + 1;
        self.log.push(Event {
            event_id: Uuid::from_u128(0xE0 << 120 | place),
            kind,
            invoice_id: id,
            amount: row.hold.map_or(AmountMsat::ZERO, |hold| hold.amount),
            deadline: row.claim_deadline().unwrap_or(0),
            accepted_at: row.hold.map_or(now, |hold| hold.accepted_at),
        });
    }

    fn put(&mut self, id: Uuid, row: HoldInvoice) {
        self.touched.insert(id);
        self.rows.insert(id, row);
    }

    fn row(&self, id: Uuid) -> Answer {
        self.rows.get(&id).cloned().ok_or(CallError::NotFound)
    }

    fn check_synced(&self) -> Result<(), CallError> {
        if self.node.is_synced { Ok(()) } else { Err(CallError::NotSynced) }
    }

    fn reach(&self, fault: Fault) -> Result<(), CallError> {
        let reached = !self.is_down && fault != Fault::Unreachable;
        if reached { Ok(()) } else { Err(CallError::Unavailable) }
    }

    fn behind_write(&mut self, fault: Fault) -> Result<(), CallError> {
        self.dies(fault == Fault::CrashBehindWrite)
    }

    fn behind_call(&mut self, fault: Fault) -> Result<(), CallError> {
        self.dies(fault == Fault::CrashBehindCall)
    }

    fn dies(&mut self, now: bool) -> Result<(), CallError> {
        self.is_down |= now;
        if now { Err(CallError::Unavailable) } else { Ok(()) }
    }

    fn reply(&self, id: Uuid, fault: Fault) -> Answer {
        if fault == Fault::ReplyLost { Err(CallError::Unavailable) } else { self.row(id) }
    }
}

const fn is_due(state: HoldState) -> bool {
    matches!(
        state,
        HoldState::Intent
            | HoldState::Open
            | HoldState::Accepted
            | HoldState::ClaimRequested
            | HoldState::ReleaseRequested
    )
}

fn invoice_id(id: Uuid) -> Result<InvoiceId, CallError> {
    InvoiceId::try_new(id).map_err(|_| CallError::Internal)
}

/// One hash for each id. The sim names payments by the id, so nothing hangs on which.
fn hash(id: Uuid) -> PaymentHash {
    PaymentHash(Digest::sha256(id.as_bytes()))
}
