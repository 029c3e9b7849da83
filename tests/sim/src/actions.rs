//! What may happen next. The seed picks.

use ailayer_gateway::domain::job::Input;
use ailayer_gateway::domain::ledger::{
    AccountId, Action, Amount, Asset, Direction, HouseKind, Operation, Stripe,
};
use ailayer_gateway::domain::price::Usage;
use ailayer_payment::domain::hold_invoice::HoldState;
use ailayer_primitives::{AmountMsat, JobId, UnixMs};

use crate::buyers::{Order, Want};
use crate::gateway::jobs::{Facts, apply, context, short};
use crate::gateway::quotes::{At as QuoteAt, QuoteCall, price};
use crate::gateway::{self, Call, deposits, prepaid};
use crate::ledger::Submission;
use crate::payment::Fault;
use crate::store::{JobRow, Tx};
use crate::world::{Which, World};

/// Orders of one history: enough to meet each other, few enough to come to an end.
const MAX_ORDERS: usize = 24;
/// Calls that one gateway answers at once.
const MAX_CALLS: usize = 10;

/// One step of the world.
pub fn step(world: &mut World) {
    match world.rng.below(100) {
        0..62 => work(world),
        62..74 => payment_works(world),
        74..89 => buyer_acts(world),
        89..93 => time_passes(world),
        93 => blocks_are_found(world),
        94..96 => something_dies_or_rises(world),
        96 => operator_acts(world),
        _ => something_fails_or_mends(world),
    }
}

fn which(world: &mut World) -> Which {
    if world.rng.chance(50) { Which::A } else { Which::B }
}

/// A gateway goes on over its next write; a crash may fall behind it.
fn work(world: &mut World) {
    let which = which(world);
    let works = gateway::enabled(world, which);
    if let Some(work) = world.rng.pick(&works) {
        gateway::step(world, which, work);
    }
}

/// The payment service handles an event of its node, or its guard makes a round.
fn payment_works(world: &mut World) {
    if world.payment.is_down {
        if world.rng.chance(50) {
            let height = world.height;
            world.payment.restart(height);
            world.note(|| "payment starts".to_owned());
        }
        return;
    }
    let (fault, now) = (world.payment_fault(), world.now);
    if world.rng.chance(70) {
        if let Some(event) = world.payment.node.events.front().copied() {
            world.note(|| format!("payment handles {event:?}"));
        }
        world.payment.handle_event(now, fault);
    } else {
        // A silent node is silent to the guard, too.
        world.payment.tick(now, if fault == Fault::ReplyLost { Fault::Fine } else { fault });
    }
}

fn buyer_acts(world: &mut World) {
    match world.rng.below(100) {
        0..20 => order_something(world),
        20..46 => repeat_something(world),
        46..84 => pay_something(world),
        84..98 => acknowledge_something(world),
        _ => cancel_something(world),
    }
}

fn order_something(world: &mut World) {
    if world.buyers.orders.len() >= MAX_ORDERS {
        return;
    }
    let account = world.rng.pick(&world.buyers.accounts);
    let amount = AmountMsat::try_new(500 + world.rng.draw() % 4000).unwrap_or(AmountMsat::ZERO);
    let want = match (world.rng.below(10), account) {
        (0..5, _) | (_, None) => Want::Quote,
        (5..8, Some(account)) => Want::Prepaid(account),
        (_, Some(account)) => Want::Deposit(account, amount),
    };
    let tokens = 1 + world.rng.draw() % 200;
    let request_id = world.ids.request();
    let body = world.ids.number();
    world.buyers.orders.push(Order { want, request_id, body, tokens, shown: None, shown_body: None });
    let at = world.buyers.orders.len().saturating_sub(1);
    call(world, at, false);
}

fn repeat_something(world: &mut World) {
    let waiting = world.buyers.waiting();
    let at = match world.rng.pick(&waiting) {
        Some(at) if world.rng.chance(70) => at,
        _ => world.rng.below(world.buyers.orders.len()),
    };
    let asks_for_something_else = world.rng.chance(15);
    call(world, at, asks_for_something_else);
}

fn call(world: &mut World, at: usize, asks_for_something_else: bool) {
    let Some(order) = world.buyers.order(at) else { return };
    let which = which(world);
    let replica = world.replica(which);
    if replica.is_down || replica.calls.len() >= MAX_CALLS {
        return;
    }
    let body = if asks_for_something_else { order.body.wrapping_add(1_000_000) } else { order.body };
    let call = match order.want {
        Want::Quote => Call::Quote(QuoteCall { order: at, body, at: QuoteAt::LookUp }),
        Want::Prepaid(_) => Call::Prepaid(prepaid::PrepaidCall { order: at, body, at: prepaid::At::Offer }),
        Want::Deposit(_, amount) => {
            let more = AmountMsat::try_new(u64::from(asks_for_something_else)).unwrap_or(AmountMsat::ZERO);
            let amount = amount.checked_add(more).unwrap_or(amount);
            Call::Deposit(deposits::DepositCall { order: at, amount, at: deposits::At::Create })
        }
    };
    replica.calls.push(call);
    world.note(|| format!("a buyer calls {which} for order {at}: {:?}, body {body}", order.want));
}

/// Mostly what is asked; sometimes more or less, again, or late, and with few blocks to spare.
fn pay_something(world: &mut World) {
    let mut payable = world.buyers.payable();
    let again = world.rng.chance(30);
    if again {
        // Whoever has paid already pays again, also while the claim is under way: the first payment may have gone back.
        let rows = &world.payment.rows;
        payable.retain(|(id, ..)| rows.get(id).is_some_and(|row| row.state.holds_money()));
    } else if world.rng.chance(80) {
        let rows = &world.payment.rows;
        payable.retain(|(id, ..)| rows.get(id).is_some_and(|row| row.state == HoldState::Open));
    }
    let Some((id, want, tokens)) = world.rng.pick(&payable) else { return };
    let asked = match want {
        Want::Deposit(_, amount) => amount,
        Want::Quote | Want::Prepaid(_) => price().of(&Usage::tokens(tokens)).unwrap_or(AmountMsat::ZERO),
    };
    let msat = match world.rng.below(if again { 6 } else { 20 }) {
        0 => asked.msat().saturating_sub(1),
        1 => asked.msat().saturating_add(1),
        2 => asked.msat().saturating_mul(2),
        _ => asked.msat(),
    };
    let blocks = world.rng.pick(&[2, 3, 4, 6, 12, 40, 40, 40]).unwrap_or(40);
    let amount = AmountMsat::try_new(msat).unwrap_or(asked);
    let (deadline, now) = (world.height.saturating_add(blocks), world.now);
    let locked = world.payment.node.pay(id, amount, deadline, now);
    world.note(|| {
        let id = short(JobId::new(id));
        format!("{msat} msat are paid to {id} until {deadline}: locked {locked}")
    });
}

/// Mostly what can be fetched; sometimes what cannot, or not any more, or what is not sealed at all.
fn acknowledge_something(world: &mut World) {
    let which = which(world);
    if world.replica(which).is_down {
        return;
    }
    let at_random = world.rng.chance(10);
    let is_delivered = |row: &JobRow| row.job.acknowledge_until(&context(world, None)).is_some();
    let jobs = world.store.jobs.values().filter(|row| at_random || is_delivered(row));
    let jobs: Vec<JobId> = jobs.map(|row| row.job_id).collect();
    let Some(job_id) = world.rng.pick(&jobs) else { return };
    world.note(|| format!("a buyer acknowledges job {}", short(job_id)));
    // Also if the answer gets lost: the buyer has said it.
    let can_be_fetched = world.store.jobs.get(&job_id).is_some_and(|row| row.leaf_index.is_some());
    if can_be_fetched {
        world.buyers.acknowledged.insert(job_id);
    }
    let _ = apply(world, job_id, Input::Acknowledged, None, Facts::default());
}

fn cancel_something(world: &mut World) {
    let which = which(world);
    let at = world.rng.below(world.store.jobs.len());
    let Some(job_id) = world.store.jobs.keys().nth(at).copied() else { return };
    if world.replica(which).is_down {
        return;
    }
    world.note(|| format!("a buyer cancels job {}", short(job_id)));
    // Too late, or a failure: the buyer is told, and nothing has moved.
    let _ = apply(world, job_id, Input::Cancel, None, Facts::default());
}

/// An operator freezes an account, thaws it, or grants a little. Jobs that have begun must end all the same.
fn operator_acts(world: &mut World) {
    let Some(customer) = world.rng.pick(&world.buyers.accounts) else { return };
    let account = AccountId::customer(customer, Asset::Btc);
    let units = i64::try_from(500 + world.rng.draw() % 3000).unwrap_or(500);
    let action = match (world.rng.below(5), Amount::try_new(units)) {
        (0, _) | (_, Err(_)) => Action::Freeze,
        (1..3, _) => Action::Unfreeze,
        (_, Ok(amount)) => Action::Adjust { direction: Direction::Credit, amount, against: HouseKind::Fees },
    };
    world.note(|| format!("an operator acts on {customer}: {action:?}"));
    let Ok(operation) = Operation::try_new(account, world.ids.request(), action) else { return };
    let submission = Submission { operation, transaction_id: world.ids.transaction(), may_apply: true };
    let (_, page) = world.store.ledger.apply(Stripe::of_writer(customer.uuid()), &[submission], world.now);
    // Unanswered, the operator looks again; nothing hangs on it here.
    let _ = world.commit(Tx { page: Some(page), ..Tx::default() });
}

fn time_passes(world: &mut World) {
    let ms = match world.rng.below(40) {
        0..23 => 1 + world.rng.draw() % 1000,
        23..34 => 2000 + world.rng.draw() % 6000,
        34..38 => 10_000 + world.rng.draw() % 20_000,
        38 => 40_000,
        _ => 300_000,
    };
    world.now = UnixMs(world.now.0.saturating_add(ms));
}

/// Mostly one; sometimes a few in a row, so that a deadline passes at once.
fn blocks_are_found(world: &mut World) {
    let count = if world.rng.chance(15) { 4 } else { 1 };
    world.height = world.height.saturating_add(count);
    world.note(|| format!("{count} blocks are found"));
    if world.payment.node.is_synced {
        node_sees_blocks(world);
    }
}

/// What has reached its deadline goes back; some wallets pay again at once, and not always the same amount.
fn node_sees_blocks(world: &mut World) {
    if world.payment.is_down {
        return;
    }
    let (height, now) = (world.height, world.now);
    for htlc in world.payment.node.see(height) {
        if world.rng.chance(50) {
            let more = AmountMsat::try_new(world.rng.draw() % 2).unwrap_or(AmountMsat::ZERO);
            let amount = htlc.amount.checked_add(more).unwrap_or(htlc.amount);
            let locked = world.payment.node.pay(htlc.invoice_id, amount, height.saturating_add(40), now);
            let id = short(JobId::new(htlc.invoice_id));
            world.note(|| format!("a wallet pays {id} again, {amount}: locked {locked}"));
        }
    }
}

fn something_dies_or_rises(world: &mut World) {
    let which = which(world);
    if world.replica(which).is_down {
        world.note(|| format!("{which} starts"));
        return gateway::restart(world, which);
    }
    if world.rng.chance(80) {
        world.note(|| format!("{which} dies"));
        gateway::crash(world, which);
    } else {
        world.note(|| format!("{which} is shut down"));
        gateway::shut_down(world, which);
    }
    // Mostly it is back at once: what it had in memory is gone all the same.
    if world.rng.chance(70) {
        gateway::restart(world, which);
    }
}

/// An outage begins, or all of them end: they meet each other, and do not last.
fn something_fails_or_mends(world: &mut World) {
    let is_any = world.is_store_down
        || world.audit.is_down
        || world.serving.is_down
        || world.serving.hangs
        || world.are_claims_paused
        || world.payment.is_node_silent
        || !world.payment.node.is_synced;
    if is_any && world.rng.chance(75) {
        return mend(world);
    }
    if world.rng.chance(60) {
        return;
    }
    let what = match world.rng.below(9) {
        0 => {
            world.payment.is_down = true;
            "payment dies"
        }
        1 => {
            world.payment.node.is_synced = false;
            "the node falls behind"
        }
        2 => {
            world.audit.is_down = true;
            "the log is down"
        }
        3 => {
            world.serving.is_down = true;
            "model serving is down"
        }
        4 => {
            world.serving.hangs = true;
            "model serving hangs"
        }
        5 | 6 => {
            world.payment.is_node_silent = true;
            "the node does not answer"
        }
        7 => {
            world.is_store_down = true;
            "the store is down"
        }
        _ => {
            world.are_claims_paused = true;
            "claims are paused"
        }
    };
    world.note(|| what.to_owned());
}

fn mend(world: &mut World) {
    world.is_store_down = false;
    world.audit.is_down = false;
    world.serving.is_down = false;
    world.serving.hangs = false;
    world.are_claims_paused = false;
    world.payment.is_node_silent = false;
    world.payment.node.is_synced = true;
    node_sees_blocks(world);
    world.note(|| "outages end".to_owned());
}
