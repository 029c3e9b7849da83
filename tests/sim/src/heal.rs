//! Everything is mended, nobody asks for anything new, and the world comes to rest.

use ailayer_payment::domain::hold_invoice::HoldState;
use ailayer_primitives::UnixMs;

use crate::gateway::{self, Work};
use crate::invariants::Invariants;
use crate::payment::Fault;
use crate::world::{Storm, Which, World};

/// Rounds until a world that does not rest is called stuck. Between two of them seconds pass, later minutes.
const MAX_ROUNDS: u32 = 120;
/// After so many rounds blocks are found, so that money nobody speaks of reaches its deadline.
const BLOCKS_FROM: u32 = 60;
/// Steps of one gateway in one round; more than that is a loop.
const MAX_STEPS: u32 = 2000;

/// Until rest; what still moves if there is none.
pub fn to_rest(world: &mut World, invariants: &mut Invariants) -> Result<(), String> {
    mend(world);
    for round in 0..MAX_ROUNDS {
        for which in [Which::A, Which::B] {
            work_off(world, which, invariants)?;
        }
        let now = world.now;
        while !world.payment.node.events.is_empty() {
            world.payment.handle_event(now, Fault::Fine);
            invariants.check(world)?;
        }
        world.payment.tick(now, Fault::Fine);
        invariants.check(world)?;
        if what_moves(world).is_none() {
            return Ok(());
        }
        pass_time(world, round);
    }
    Err(format!("the world does not come to rest: {}", what_moves(world).unwrap_or_default()))
}

fn mend(world: &mut World) {
    world.note(|| "everything is mended".to_owned());
    world.storm = Storm::CALM;
    world.is_store_down = false;
    world.are_claims_paused = false;
    world.audit.is_down = false;
    world.serving.is_down = false;
    world.serving.hangs = false;
    world.payment.is_node_silent = false;
    let height = world.height;
    world.payment.restart(height);
    gateway::restart(world, Which::A);
    gateway::restart(world, Which::B);
}

/// Everything that one gateway can go on with. A call that waits for a job's end ends later.
fn work_off(world: &mut World, which: Which, invariants: &mut Invariants) -> Result<(), String> {
    for _ in 0..MAX_STEPS {
        let works = gateway::enabled(world, which);
        let next =
            works.iter().find(|work| matches!(work, Work::Drive(_) | Work::WriteLedger | Work::Follow));
        let Some(work) = next else { break };
        gateway::step(world, which, *work);
        invariants.check(world)?;
    }
    let calls = world.replica(which).calls.len();
    for at in (0..calls).rev() {
        gateway::step(world, which, Work::Call(at));
        invariants.check(world)?;
    }
    for work in [Work::TakeJobs, Work::Relay, Work::Relay, Work::Relay, Work::Relay, Work::ClaimDeposits] {
        gateway::step(world, which, work);
        invariants.check(world)?;
    }
    Ok(())
}

fn pass_time(world: &mut World, round: u32) {
    let ms = match round {
        0..20 => 100,
        20..40 => 3000,
        _ => 30_000,
    };
    world.now = UnixMs(world.now.0.saturating_add(ms));
    if round >= BLOCKS_FROM {
        world.height = world.height.saturating_add(1);
        let height = world.height;
        world.payment.node.see(height);
    }
}

/// Something that will still change by itself.
fn what_moves(world: &World) -> Option<String> {
    let store = &world.store;
    if let Some(row) = store.jobs.values().find(|row| !row.job.state.is_terminal()) {
        return Some(format!("job {} is {}", row.job_id, row.job.state));
    }
    if let Some(row) = store.deposits.values().find(|row| row.state.as_str() == "TAKING") {
        return Some(format!("deposit {} is TAKING", row.deposit_id));
    }
    if !store.outbox.is_empty() {
        return Some("the outbox is not empty".to_owned());
    }
    if store.cursor != u64::try_from(world.payment.log.len()).unwrap_or(u64::MAX) {
        return Some("events were not taken in".to_owned());
    }
    if world.payment.node.is_any_locked() || !world.payment.node.events.is_empty() {
        return Some("the node still holds money or an event".to_owned());
    }
    let is_held = |state: HoldState| state.holds_money() || state == HoldState::ReleaseRequested;
    if let Some(row) = world.payment.rows.values().find(|row| is_held(row.state)) {
        return Some(format!("the hold of {} is {}", row.invoice_id, row.state.as_str()));
    }
    let calls = world.a.calls.len() + world.b.calls.len();
    (calls > 0).then(|| format!("{calls} calls wait"))
}
