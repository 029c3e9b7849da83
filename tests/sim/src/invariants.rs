//! What must hold after every step, over committed rows. The numbers are those of DESIGN's invariants.
//!
//! Only what was written since the last look is looked at, against sums that are kept along the way.

use std::collections::{BTreeMap, BTreeSet};

use ailayer_gateway::domain::deposit::DepositState;
use ailayer_gateway::domain::job::{Rail, State};
use ailayer_gateway::domain::ledger::{AccountId, Asset, Entry, Holder, HouseKind, ReservationState, Stripe};
use ailayer_payment::domain::event::EventKind;
use ailayer_payment::domain::hold_invoice::HoldState;
use ailayer_primitives::{JobId, RequestId};
use uuid::Uuid;

use crate::audit::{Receipt, Statement};
use crate::store::{DepositRow, JobRow};
use crate::world::World;

type Check = Result<(), String>;

/// What was seen of a job.
#[derive(Debug, Clone, Copy)]
struct SeenJob {
    state: State,
    receipt: Option<Receipt>,
    output: Option<u64>,
}

/// What was seen so far.
#[derive(Debug, Default)]
pub struct Invariants {
    jobs: BTreeMap<JobId, SeenJob>,
    requests: BTreeMap<(Option<Uuid>, RequestId), JobId>,
    deposit_requests: BTreeMap<(Uuid, RequestId), Uuid>,
    balances: BTreeMap<AccountId, i64>,
    journal: usize,
    acted_on: usize,
    events: BTreeSet<Uuid>,
    /// What the events say that were acted on.
    claimed_units: i64,
    /// What the ledger says is ours in Lightning.
    lightning_units: i64,
}

impl Invariants {
    /// Looks at what is new. The first thing that is wrong, in words.
    pub fn check(&mut self, world: &mut World) -> Check {
        if let Some(contradiction) = &world.buyers.contradiction {
            return Err(format!("3: {contradiction}"));
        }
        if let Some(misfit) = &world.misfit {
            return Err(format!("4: an event contradicts its row: {misfit}"));
        }
        self.check_ledger(world)?;
        self.check_events(world)?;
        for job_id in std::mem::take(&mut world.store.touched.jobs) {
            let Some(row) = world.store.jobs.get(&job_id) else { continue };
            self.check_job(world, row).map_err(|wrong| format!("job {job_id}: {wrong}"))?;
        }
        for id in std::mem::take(&mut world.store.touched.deposits) {
            let Some(row) = world.store.deposits.get(&id) else { continue };
            self.check_deposit(world, row).map_err(|wrong| format!("deposit {id}: {wrong}"))?;
        }
        for id in std::mem::take(&mut world.payment.touched) {
            check_hold(world, id).map_err(|wrong| format!("hold invoice {id}: {wrong}"))?;
        }
        must(world.payment.unexpected == 0, || "1: money was taken that no row authorised".to_owned())
    }

    /// 2: every transaction sums to zero per asset, balances follow from lines, nothing is below its limit, and what is
    /// reserved is what pending reservations say.
    fn check_ledger(&mut self, world: &World) -> Check {
        let ledger = &world.store.ledger;
        let mut touched = BTreeSet::new();
        for entry in ledger.journal.iter().skip(self.journal) {
            self.check_entry(entry)?;
            touched.extend(entry.lines.iter().map(|line| line.account));
            touched.insert(entry.account);
        }
        self.journal = ledger.journal.len();
        for id in touched {
            let Some(account) = ledger.accounts.get(&id) else { return Err(format!("2: {id} is gone")) };
            let sum = self.balances.get(&id).copied().unwrap_or(0);
            must(account.balance_units == sum, || {
                format!("2: {id} has {}, its lines say {sum}", account.balance_units)
            })?;
            must(account.available_units() >= 0, || format!("2: {id} is below its limit: {account:?}"))?;
            if matches!(id.holder, Holder::Customer(_)) {
                let of_account = ledger.reservations.iter().filter(|((account, _), _)| *account == id);
                let pending = of_account.filter(|(_, it)| it.state == ReservationState::Pending);
                let reserved: i64 = pending.map(|(_, it)| it.amount.units()).sum();
                must(account.reserved_units == reserved, || {
                    format!("2: {id} has {} reserved, reservations say {reserved}", account.reserved_units)
                })?;
            }
        }
        Ok(())
    }

    fn check_entry(&mut self, entry: &Entry) -> Check {
        let mut sums: BTreeMap<Asset, i64> = BTreeMap::new();
        for line in &entry.lines {
            *sums.entry(line.account.asset).or_default() += line.amount_units;
            let balance = self.balances.entry(line.account).or_default();
            *balance += line.account.side().change(line.amount_units).unwrap_or(0);
            must(*balance == line.balance_units, || {
                format!("2: a line of {} breaks its chain", line.account)
            })?;
            if matches!(line.account.holder, Holder::House(HouseKind::Lightning, _)) {
                self.lightning_units += line.amount_units;
            }
        }
        must(sums.values().all(|sum| *sum == 0), || format!("2: {} does not sum to zero", entry.request_id))
    }

    /// 4: an event acts once, and what is ours in Lightning is what the events say that were taken in.
    fn check_events(&mut self, world: &World) -> Check {
        let acted_on = &world.store.acted_on;
        if acted_on.len() == self.acted_on {
            return Ok(());
        }
        for event_id in acted_on.iter().skip(self.acted_on) {
            must(self.events.insert(*event_id), || format!("4: event {event_id} acted twice"))?;
            let event = world.payment.log.iter().find(|event| event.event_id == *event_id);
            if let Some(event) = event.filter(|event| event.kind == EventKind::HoldInvoiceClaimed) {
                self.claimed_units += event.amount.to_i64();
            }
        }
        self.acted_on = acted_on.len();
        must(self.lightning_units == self.claimed_units, || {
            format!(
                "4: the ledger has {} in Lightning, events say {}",
                self.lightning_units, self.claimed_units
            )
        })
    }

    fn check_job(&mut self, world: &World, row: &JobRow) -> Check {
        let request = (row.payer.map(|payer| payer.uuid()), row.request_id);
        let first = *self.requests.entry(request).or_insert(row.job_id);
        must(first == row.job_id, || format!("3: request {} has made job {first}, too", row.request_id))?;
        let seen = self.jobs.get(&row.job_id).copied();
        let state = row.job.state;
        if let Some(seen) = seen {
            must(may_follow(row.job.rail, seen.state, state), || {
                format!("1: it went from {} to {state}", seen.state)
            })?;
            let same_receipt = seen.receipt.is_none() || seen.receipt == row.receipt;
            let same_output = seen.output.is_none() || seen.output == row.output;
            must(same_receipt && same_output, || "5: its receipt or answer was changed".to_owned())?;
        }
        self.jobs.insert(row.job_id, SeenJob { state, receipt: row.receipt, output: row.output });
        check_price(row)?;
        check_receipt(world, row)?;
        check_books(world, row)
    }

    fn check_deposit(&mut self, world: &World, row: &DepositRow) -> Check {
        let first =
            *self.deposit_requests.entry((row.account.uuid(), row.request_id)).or_insert(row.deposit_id);
        must(first == row.deposit_id, || {
            format!("3: request {} has made deposit {first}, too", row.request_id)
        })?;
        let account = AccountId::customer(row.account, Asset::Btc);
        let entry = world.store.ledger.entries.get(&(account, RequestId::new(row.deposit_id)));
        let is_credited = row.state == DepositState::Credited;
        must(is_credited == entry.is_some(), || {
            format!("4: it is {}, and in the books: {entry:?}", row.state)
        })?;
        if !is_credited {
            return Ok(());
        }
        let credited = row.credited.map_or(0, |credited| credited.to_i64());
        let asked = row.amount.to_i64();
        must(entry.is_some_and(|it| it.amount_units == credited) && credited <= asked, || {
            format!("4: {credited} were credited of {asked}")
        })?;
        let taken = world.payment.rows.get(&row.deposit_id).map(|hold| hold.state);
        must(taken == Some(HoldState::Claimed), || format!("4: it is credited, and its hold is {taken:?}"))
    }
}

/// A price is never above its quote or cap, and never above what is held.
fn check_price(row: &JobRow) -> Check {
    let (price, charge) = (row.job.price, row.job.charge);
    must(charge.is_none_or(|charge| charge <= price), || format!("1: {charge:?} is charged of {price}"))?;
    must(row.receipt.is_none_or(|receipt| Some(receipt.charge) == charge), || {
        format!("1: the receipt says another charge than {charge:?}")
    })?;
    let taken = row.taken.map_or(0, |taken| taken.msat());
    let held = row.job.hold.map_or(0, |hold| hold.amount.msat());
    // On the hold rail more than was held can be taken: a second payment of the invoice. The rest is in suspense.
    must(row.job.rail == Rail::Hold || taken <= held, || format!("1: {taken} were taken of {held}"))
}

/// 1 and 5: whoever pays has an answer and a receipt in the log first; whoever is owed a closing entry has one.
fn check_receipt(world: &World, row: &JobRow) -> Check {
    let state = row.job.state;
    if matches!(state, State::Taking | State::Settled | State::Lost) {
        let logged = row.receipt.is_some_and(|receipt| world.audit.contains(Statement::Receipt(receipt)));
        must(logged && row.output.is_some(), || {
            format!("1: it is {state} without answer or logged receipt")
        })?;
    }
    check_seal(world, row)?;
    let mut logged = world.audit.receipts().filter(|receipt| receipt.job_id == row.job_id);
    must(logged.all(|receipt| row.receipt == Some(*receipt)), || {
        "5: the log has another receipt".to_owned()
    })?;
    if !state.is_terminal() || row.receipt.is_none() {
        return Ok(());
    }
    let Some(closing) = row.closing else { return Err(format!("5: it is {state} without a closing entry")) };
    let is_waiting = world.store.outbox.values().any(|item| item.closing == closing);
    must(is_waiting || world.audit.contains(Statement::Closing(closing)), || {
        "5: its closing entry is neither in the outbox nor in the log".to_owned()
    })
}

/// 1: a sealed answer is delivered once its receipt is in the log, and paid once its buyer has acknowledged it.
fn check_seal(world: &World, row: &JobRow) -> Check {
    let Some(seal) = row.job.seal else { return Ok(()) };
    let state = row.job.state;
    let logged = row.receipt.is_some_and(|receipt| world.audit.contains(Statement::Receipt(receipt)));
    must(seal.appended_at.is_none() || (logged && row.leaf_index.is_some()), || {
        "1: it is delivered without a logged receipt".to_owned()
    })?;
    let is_taken = matches!(state, State::Taking | State::Settled | State::Lost);
    let is_acknowledged = world.buyers.acknowledged.contains(&row.job_id);
    must(is_acknowledged || (!is_taken && seal.acknowledged_at.is_none()), || {
        format!("1: it is {state}, and its buyer has acknowledged nothing")
    })
}

/// 1 and 2: a job ends in the books as it ends, once.
fn check_books(world: &World, row: &JobRow) -> Check {
    let ledger = &world.store.ledger;
    let (state, request) = (row.job.state, RequestId::new(row.job_id.uuid()));
    let Some(payer) = row.payer else {
        let account = AccountId::house(HouseKind::Revenue, Asset::Btc, Stripe::of_job(row.job_id));
        let is_posted = ledger.entries.contains_key(&(account, request));
        let has_ended = matches!(state, State::Settled | State::Lost);
        return must(is_posted == has_ended, || format!("1: it is {state}, and in the books: {is_posted}"));
    };
    let account = AccountId::customer(payer, Asset::Btc);
    let reservation = ledger.reservations.get(&(account, request));
    let expected = match state {
        State::Settled => ReservationState::Posted,
        state if state.is_terminal() => ReservationState::Voided,
        _ => ReservationState::Pending,
    };
    let found = reservation.map(|it| it.state);
    must(found == Some(expected), || format!("1: it is {state}, and its reservation is {found:?}"))?;
    let captured = reservation.map_or(0, |it| it.captured_units);
    let taken = row.taken.map_or(0, |taken| taken.to_i64());
    must(captured == taken, || format!("1: {captured} were captured, the job says {taken}"))
}

/// 1: money is taken only for a job whose receipt is in the log, or for a deposit that waits for it.
fn check_hold(world: &World, id: Uuid) -> Check {
    let Some(hold) = world.payment.rows.get(&id) else { return Ok(()) };
    if !matches!(hold.state, HoldState::ClaimRequested | HoldState::Claimed) {
        return Ok(());
    }
    if let Some(row) = world.store.jobs.get(&JobId::new(id)) {
        let state = row.job.state;
        let is_taking = matches!(state, State::Taking | State::Settled | State::Lost);
        must(is_taking, || format!("1: it is {}, and its job {state}", hold.state.as_str()))?;
        let logged = row.receipt.is_some_and(|receipt| world.audit.contains(Statement::Receipt(receipt)));
        return must(logged, || "1: the claim is authorised, and the receipt is not in the log".to_owned());
    }
    let deposit = world.store.deposits.get(&id).map(|row| row.state);
    must(matches!(deposit, Some(DepositState::Taking | DepositState::Credited)), || {
        format!("1: it is {}, and its deposit {deposit:?}", hold.state.as_str())
    })
}

/// The drawing above `State`, as pairs. Staying is always allowed: leases and attempts are written, too.
fn may_follow(rail: Rail, from: State, to: State) -> bool {
    use State as S;
    let gives_back = match rail {
        Rail::Hold => matches!(to, S::Releasing),
        Rail::Prepaid => matches!(to, S::Failed | S::Canceled | S::Expired),
    };
    from == to
        || match from {
            S::Quoted => to == S::Held || gives_back,
            S::Held => to == S::Running || gives_back,
            S::Running => to == S::Completed || gives_back,
            S::Completed if rail == Rail::Prepaid => to == S::Settled || gives_back,
            S::Completed => to == S::Taking || gives_back,
            S::Taking => matches!(to, S::Settled | S::Lost),
            S::Releasing => matches!(to, S::Failed | S::Canceled | S::Expired),
            S::Settled | S::Lost | S::Failed | S::Canceled | S::Expired => false,
        }
}

pub fn must(holds: bool, wrong: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(wrong()) }
}
