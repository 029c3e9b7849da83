//! Mirrors `deposits.rs` and `tasks/claim_deposits.rs`.

use ailayer_gateway::domain::deposit::{DepositEvent, DepositState, DepositStep, decide};
use ailayer_gateway::domain::ledger::{Operation, Stripe, Verdict, funding};
use ailayer_primitives::{AmountMsat, JobId, UnixMs};
use uuid::Uuid;

use crate::bugs::Bug;
use crate::buyers::{Answer, Want};
use crate::ledger::Submission;
use crate::store::{DepositRow, Store, SuspenseItem, Tx};
use crate::world::{EXPIRY_S, Which, World};

/// A call that asks for a deposit's invoice.
#[derive(Debug)]
pub struct DepositCall {
    /// Which of the buyers' orders.
    pub order: usize,
    /// How much; a repeat may ask for another amount.
    pub amount: AmountMsat,
    pub at: At,
}

/// What the call is about to do.
#[derive(Debug)]
pub enum At {
    Create,
    MakeInvoice(DepositRow),
    StoreInvoice(DepositRow),
}

/// What an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Booked {
    NotOurs,
    Done,
    GiveBack,
}

/// One write or call; none when the buyer has an answer.
pub fn step(world: &mut World, call: DepositCall) -> Option<DepositCall> {
    match advance(world, &call) {
        Ok(at) => Some(DepositCall { at, ..call }),
        Err(answer) => {
            world.buyers.answered(call.order, call.amount.msat(), answer);
            None
        }
    }
}

fn advance(world: &mut World, call: &DepositCall) -> Result<At, Answer> {
    match &call.at {
        At::Create => create(world, call),
        At::MakeInvoice(row) => {
            if row.state != DepositState::Open || world.now >= row.expiry {
                return Err(Answer::Ended);
            }
            let fault = world.payment_fault();
            match world.payment.create(row.deposit_id, row.amount, EXPIRY_S, world.now, fault) {
                Ok(_) => Ok(At::StoreInvoice(row.clone())),
                Err(_) => Err(Answer::Failed),
            }
        }
        At::StoreInvoice(row) => {
            let id = row.deposit_id;
            let store = |store: &mut Store| {
                if let Some(row) = store.deposits.get_mut(&id) {
                    row.has_invoice = true;
                }
            };
            world.write(store).map_err(|_| Answer::Failed)?;
            Err(Answer::Shown(id))
        }
    }
}

/// `store::deposits::create`
fn create(world: &mut World, call: &DepositCall) -> Result<At, Answer> {
    let order = world.buyers.order(call.order).ok_or(Answer::Failed)?;
    let Want::Deposit(account, _) = order.want else { return Err(Answer::Failed) };
    let ignores = world.bug == Some(Bug::RequestIdIgnored);
    let new = DepositRow {
        deposit_id: world.ids.uuid(),
        account,
        request_id: order.request_id,
        amount: call.amount,
        state: DepositState::Open,
        expiry: UnixMs(world.now.0.saturating_add(u64::from(EXPIRY_S).saturating_mul(1000))),
        has_invoice: false,
        credited: None,
    };
    let written = world.write(|store| {
        let twin = store.deposit_of(account, new.request_id).filter(|_| !ignores).cloned();
        twin.unwrap_or_else(|| {
            store.write(Tx { deposits: vec![new.clone()], ..Tx::default() });
            new
        })
    });
    let row = written.map_err(|_| Answer::Failed)?;
    if row.amount != call.amount {
        return Err(Answer::Reused);
    }
    if row.has_invoice { Err(Answer::Shown(row.deposit_id)) } else { Ok(At::MakeInvoice(row)) }
}

/// `Deposits::book_in_tx`. The error says that the ledger does not take it.
pub fn book_in_tx(world: &mut World, tx: &mut Tx, id: Uuid, event: DepositEvent) -> Result<Booked, ()> {
    let Some(mut row) = world.store.deposits.get(&id).cloned() else { return Ok(Booked::NotOurs) };
    let step = match (world.bug, decide(row.state, row.amount, event)) {
        (Some(Bug::CreditOnAccepted), DepositStep::Move(DepositState::Taking)) => {
            DepositStep::Credit { credited: row.amount, suspense: AmountMsat::ZERO }
        }
        (_, step) => step,
    };
    match step {
        DepositStep::Nothing => {}
        DepositStep::GiveBack => return Ok(Booked::GiveBack),
        DepositStep::Move(to) => {
            row.state = to;
            tx.deposits.push(row);
        }
        DepositStep::Credit { credited, suspense } => {
            let mut operations = vec![funding::credit(row.account, id, credited).map_err(drop)?];
            if suspense > AmountMsat::ZERO {
                operations.push(funding::suspense("deposit", id, suspense).map_err(drop)?);
                tx.suspense.push(SuspenseItem { source_id: id, amount: suspense });
            }
            row.state = DepositState::Credited;
            row.credited = Some(credited);
            tx.deposits.push(row);
            post_in_tx(world, tx, id, operations)?;
        }
        DepositStep::Suspense { amount } => {
            tx.suspense.push(SuspenseItem { source_id: id, amount });
            post_in_tx(world, tx, id, vec![funding::suspense("deposit", id, amount).map_err(drop)?])?;
        }
    }
    Ok(Booked::Done)
}

fn post_in_tx(world: &mut World, tx: &mut Tx, id: Uuid, operations: Vec<Operation>) -> Result<(), ()> {
    let submission =
        |operation| Submission { operation, transaction_id: world.ids.transaction(), may_apply: true };
    let submissions: Vec<Submission> = operations.into_iter().map(submission).collect();
    let (verdicts, page) = world.store.ledger.apply(Stripe::of_job(JobId::new(id)), &submissions, world.now);
    tx.page = Some(page);
    let all = verdicts.iter().all(|verdict| matches!(verdict, Verdict::Applied(_)));
    if all { Ok(()) } else { Err(()) }
}

/// `tasks::claim_deposits::run`: one look. Whatever the answers, only events say that the money is there.
pub fn claim_all(world: &mut World, which: Which) {
    let is_taking = |row: &&DepositRow| row.state == DepositState::Taking;
    let taking = world.read(|store| {
        store.deposits.values().filter(is_taking).map(|row| row.deposit_id).collect::<Vec<Uuid>>()
    });
    let Ok(taking) = taking else { return };
    for id in taking {
        let fault = world.payment_fault();
        let claimed = world.payment.claim(id, world.now, fault).map(|row| row.state);
        world.note(|| format!("{which} claims a deposit: {claimed:?}"));
    }
}
