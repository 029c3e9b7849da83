//! A gateway: what it has in memory between two durable writes. All of it is gone with a crash.
//!
//! | module | mirrors |
//! |---|---|
//! | `jobs` | `jobs.rs`, `jobs/plan.rs`: one input, decided and written in one transaction |
//! | `driver` | `driver.rs`, `driver/*.rs`, `tasks/drive_jobs.rs`, `store/leases.rs` |
//! | `quotes` | `quotes.rs` |
//! | `prepaid` | `prepaid.rs` |
//! | `writer` | `tasks/write_ledger.rs`, `jobs/rows.rs` |
//! | `deposits` | `deposits.rs`, `tasks/claim_deposits.rs` |
//! | `follower` | `tasks/follow_payments.rs` |
//! | `relay` | `tasks/relay_closings.rs` |

pub mod deposits;
pub mod driver;
pub mod follower;
pub mod jobs;
pub mod prepaid;
pub mod quotes;
pub mod relay;
pub mod writer;

use crate::gateway::deposits::DepositCall;
use crate::gateway::driver::{At, Driving};
use crate::gateway::follower::Follower;
use crate::gateway::prepaid::PrepaidCall;
use crate::gateway::quotes::QuoteCall;
use crate::gateway::relay::Relay;
use crate::gateway::writer::Writer;
use crate::world::{Which, World};

/// A buyer's call that is being answered.
#[derive(Debug)]
pub enum Call {
    Quote(QuoteCall),
    Prepaid(PrepaidCall),
    Deposit(DepositCall),
}

/// A gateway's memory.
#[derive(Debug, Default)]
pub struct Replica {
    pub is_down: bool,
    pub drivers: Vec<Driving>,
    pub calls: Vec<Call>,
    pub writer: Writer,
    pub follower: Follower,
    pub relay: Relay,
}

/// Something a gateway can go on with.
#[derive(Debug, Clone, Copy)]
pub enum Work {
    Drive(usize),
    RenewLease(usize),
    Call(usize),
    WriteLedger,
    TakeJobs,
    Follow,
    Relay,
    ClaimDeposits,
}

/// What this gateway could do next.
pub fn enabled(world: &mut World, which: Which) -> Vec<Work> {
    let taking = world.store.deposits.values().any(|row| row.state.as_str() == "TAKING");
    let events = world.payment.log.len();
    let outbox = !world.store.outbox.is_empty();
    let replica = world.replica(which);
    if replica.is_down {
        return Vec::new();
    }
    let mut works = vec![Work::TakeJobs];
    for (at, driving) in replica.drivers.iter().enumerate() {
        if let At::Write { ticket, .. } = driving.at
            && !replica.writer.has_reply(ticket)
        {
            // It is the writer's turn.
            continue;
        }
        // Twice as likely: most writes are here.
        works.extend([Work::Drive(at), Work::Drive(at)]);
    }
    works.extend((0..replica.drivers.len()).map(Work::RenewLease));
    works.extend((0..replica.calls.len()).map(Work::Call));
    works.extend(replica.writer.has_work().then_some(Work::WriteLedger));
    works.extend(replica.follower.has_work(events).then_some(Work::Follow));
    works.extend((outbox || replica.relay.has_work()).then_some(Work::Relay));
    works.extend(taking.then_some(Work::ClaimDeposits));
    works
}

/// Carries one continuation over its next durable write.
pub fn step(world: &mut World, which: Which, work: Work) {
    match work {
        Work::Drive(at) => driver::step(world, which, at),
        Work::RenewLease(at) => driver::renew_lease(world, which, at),
        Work::Call(at) => step_call(world, which, at),
        Work::WriteLedger => writer::write_ledger(world, which),
        Work::TakeJobs => driver::take_jobs(world, which),
        Work::Follow => follower::step(world, which),
        Work::Relay => relay::step(world, which),
        Work::ClaimDeposits => deposits::claim_all(world, which),
    }
}

fn step_call(world: &mut World, which: Which, at: usize) {
    let calls = &mut world.replica(which).calls;
    if at >= calls.len() {
        return;
    }
    let next = match calls.remove(at) {
        Call::Quote(call) => quotes::step(world, call).map(Call::Quote),
        Call::Prepaid(call) => prepaid::step(world, which, call).map(Call::Prepaid),
        Call::Deposit(call) => deposits::step(world, call).map(Call::Deposit),
    };
    world.replica(which).calls.extend(next);
}

/// The process dies: rows are all that is left. Whoever waited for an answer gets none.
pub fn crash(world: &mut World, which: Which) {
    *world.replica(which) = Replica { is_down: true, ..Replica::default() };
}

/// It goes down in order: its leases are given back (`leases::give_back_all`).
pub fn shut_down(world: &mut World, which: Which) {
    crash(world, which);
    // A failure leaves them to lapse.
    let _ = world.write(|store| {
        for row in store.jobs.values_mut().filter(|row| row.lease.is_some_and(|(owner, _)| owner == which)) {
            row.lease = None;
        }
    });
}

/// It comes up again, with an empty memory.
pub fn restart(world: &mut World, which: Which) {
    world.replica(which).is_down = false;
}
