//! Mirrors `tasks/relay_closings.rs`: row 12.

use ailayer_primitives::UnixMs;

use super::jobs::short;
use crate::audit::Statement;
use crate::bugs::Bug;
use crate::store::OutboxItem;
use crate::world::{Which, World};

/// The longest an item is put off, milliseconds.
const MAX_DELAY: u64 = 60_000;

/// What the relay is about to do.
#[derive(Debug, Default)]
pub enum Relay {
    #[default]
    Idle,
    /// Append the entry.
    Append(OutboxItem),
    /// The entry is in the log: store its index.
    StoreIndex(OutboxItem, usize),
    /// Forget the item.
    Done(u64),
}

impl Relay {
    pub fn has_work(&self) -> bool {
        !matches!(self, Self::Idle)
    }
}

/// One write or call.
pub fn step(world: &mut World, which: Which) {
    let next = match std::mem::take(&mut world.replica(which).relay) {
        Relay::Idle => take(world),
        Relay::Append(item) => append(world, item),
        Relay::StoreIndex(item, index) => store_index(world, &item, index),
        Relay::Done(id) => {
            // If it fails the item is delivered again, and the log knows the entry.
            let _ = world.write(|store| store.outbox.remove(&id).map(drop));
            Relay::Idle
        }
    };
    world.replica(which).relay = next;
}

/// `outbox::due`
fn take(world: &mut World) -> Relay {
    let now = world.now;
    let due = world.read(|store| store.outbox.values().find(|item| item.due <= now).cloned());
    let Ok(Some(item)) = due else { return Relay::Idle };
    if world.bug == Some(Bug::OutboxDoneFirst) {
        let _ = world.write(|store| store.outbox.remove(&item.id).map(drop));
    }
    Relay::Append(item)
}

fn append(world: &mut World, item: OutboxItem) -> Relay {
    let fault = world.append_fault(false);
    let appended = world.audit.append(Statement::Closing(item.closing), fault);
    world.note(|| format!("relay of {}: {:?}: {appended:?}", short(item.job_id), item.closing.outcome));
    match appended {
        Ok(index) => Relay::StoreIndex(item, index),
        Err(_) => {
            let delay = 500u64.saturating_mul(2u64.saturating_pow(item.attempts.min(10))).min(MAX_DELAY);
            let due = UnixMs(world.now.0.saturating_add(delay));
            // `outbox::retry_later`; if it fails the item stays due.
            let _ = world.write(|store| {
                if let Some(item) = store.outbox.get_mut(&item.id) {
                    item.attempts = item.attempts.saturating_add(1);
                    item.due = due;
                }
            });
            Relay::Idle
        }
    }
}

/// `jobs::store_closing_index`
fn store_index(world: &mut World, item: &OutboxItem, index: usize) -> Relay {
    let stored = world.write(|store| {
        if let Some(row) = store.jobs.get_mut(&item.job_id) {
            row.closing_index = Some(index);
        }
    });
    if stored.is_ok() { Relay::Done(item.id) } else { Relay::Idle }
}
