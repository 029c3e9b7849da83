//! What must hold at the end, when everything was mended and has come to rest.

use ailayer_gateway::domain::deposit::DepositState;
use ailayer_gateway::domain::job::{Outcome, State};
use ailayer_gateway::domain::ledger::{AccountId, Asset, Holder, HouseKind, ReservationState};
use ailayer_payment::domain::hold_invoice::HoldState;
use ailayer_primitives::{JobId, RequestId};

use crate::audit::Statement;
use crate::invariants::must;
use crate::store::JobRow;
use crate::world::World;

type Check = Result<(), String>;

/// The first thing that is wrong, in words.
pub fn check(world: &World) -> Check {
    for row in world.store.jobs.values() {
        check_job(world, row).map_err(|wrong| format!("at the end, job {}: {wrong}", row.job_id))?;
    }
    check_log(world)?;
    check_money(world)?;
    check_deposits(world)
}

/// The payer has the money back, or there is an answer to fetch; the receipt's ending is in the log.
fn check_job(world: &World, row: &JobRow) -> Check {
    let state = row.job.state;
    must(state.is_terminal(), || format!("it is {state}"))?;
    let paid: u64 = taken_for(world, row.job_id);
    let is_settled = state == State::Settled;
    must(is_settled || paid == 0, || format!("it is {state}, and {paid} msat were taken"))?;
    must(!is_settled || row.output.is_some(), || "it is settled, and there is no answer".to_owned())?;
    if row.payer.is_none() && is_settled {
        let taken = row.taken.map_or(0, |taken| taken.msat());
        must(paid == taken && paid >= row.job.price.msat(), || {
            format!("{paid} were paid, the job says {taken}")
        })?;
    }
    let Some(receipt) = row.receipt else { return Ok(()) };
    let outcome = match state {
        State::Settled => Outcome::Settled,
        State::Lost => Outcome::Lost,
        _ => Outcome::Voided,
    };
    let closings: Vec<_> = world.audit.closings().filter(|closing| closing.receipt == receipt).collect();
    must(closings.len() == 1 && closings.iter().all(|closing| closing.outcome == outcome), || {
        format!("its receipt is closed by {closings:?}, and it is {state}")
    })?;
    let index_is_known = row.closing_index.is_some() && (row.leaf_index.is_some() || !is_settled);
    must(index_is_known, || "an index in the log is not known".to_owned())
}

/// No receipt without its job, none without its end, and none missing.
fn check_log(world: &World) -> Check {
    for receipt in world.audit.receipts() {
        let row = world.store.jobs.get(&receipt.job_id);
        must(row.is_some_and(|row| row.receipt == Some(*receipt)), || {
            format!("the log has a receipt of job {} that nobody stored", receipt.job_id)
        })?;
    }
    for row in world.store.jobs.values().filter(|row| row.job.state == State::Settled) {
        let logged = row.receipt.is_some_and(|receipt| world.audit.contains(Statement::Receipt(receipt)));
        must(logged, || format!("the receipt of job {} is not in the log", row.job_id))?;
    }
    Ok(())
}

/// The ledger, the payment service's rows and the node agree to the millisatoshi; nothing is set aside or left over.
fn check_money(world: &World) -> Check {
    let ledger = &world.store.ledger;
    let of = |kind: HouseKind| -> i64 {
        let is_kind = |id: &AccountId| matches!(id.holder, Holder::House(it, _) if it == kind);
        ledger.accounts.iter().filter(|(id, _)| is_kind(id)).map(|(_, account)| account.balance_units).sum()
    };
    let claimed = world.payment.rows.values().filter(|row| row.state == HoldState::Claimed);
    let claimed: i64 = claimed.filter_map(|row| row.hold).map(|hold| hold.amount.to_i64()).sum();
    let taken: i64 = world.payment.node.taken().map(|htlc| htlc.amount.to_i64()).sum();
    let lightning = of(HouseKind::Lightning);
    must(lightning == claimed && claimed == taken, || {
        format!("the ledger has {lightning}, the rows {claimed}, the node {taken}")
    })?;
    let suspense: i64 = world.store.suspense.iter().map(|item| item.amount.to_i64()).sum();
    must(of(HouseKind::Suspense) == suspense, || format!("{suspense} are queued in suspense"))?;
    let lost = world.store.jobs.values().filter(|row| row.job.state == State::Lost);
    let lost: i64 = lost.map(|row| row.job.price.to_i64()).sum();
    must(of(HouseKind::WriteOff) == lost, || format!("{lost} were lost"))?;
    let pending = ledger.reservations.values().filter(|it| it.state == ReservationState::Pending).count();
    must(pending == 0, || format!("{pending} reservations are left"))?;
    let reserved: i64 = ledger.accounts.values().map(|account| account.reserved_units).sum();
    must(reserved == 0, || format!("{reserved} are reserved"))?;
    let net: i64 =
        ledger.accounts.iter().map(|(id, it)| it.balance_units * i64::from(id.side().sign())).sum();
    must(net == 0, || format!("all accounts together have {net}"))
}

/// What was taken for a deposit is on the balance or in suspense, all of it.
fn check_deposits(world: &World) -> Check {
    for row in world.store.deposits.values() {
        let id = row.deposit_id;
        let taken = i64::try_from(taken_for(world, JobId::new(id))).unwrap_or(i64::MAX);
        let account = AccountId::customer(row.account, Asset::Btc);
        let entry = world.store.ledger.entries.get(&(account, RequestId::new(id)));
        let credited = entry.map_or(0, |entry| entry.amount_units);
        let items = world.store.suspense.iter().filter(|item| item.source_id == id);
        let suspense: i64 = items.map(|item| item.amount.to_i64()).sum();
        must(taken == credited + suspense, || {
            format!(
                "at the end, deposit {id}: {taken} were taken, {credited} credited, {suspense} in suspense"
            )
        })?;
        must(taken == 0 || row.state == DepositState::Credited, || {
            format!("at the end, deposit {id}: {taken} were taken, and it is {}", row.state)
        })?;
    }
    Ok(())
}

/// What the node took of an invoice's payers.
fn taken_for(world: &World, job_id: JobId) -> u64 {
    let of_job = world.payment.node.taken().filter(|htlc| htlc.invoice_id == job_id.uuid());
    of_job.map(|htlc| htlc.amount.msat()).sum()
}
