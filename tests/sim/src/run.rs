//! One seed, many seeds.

use std::fmt;

use ailayer_gateway::domain::job::{Rail, State};
use ailayer_gateway::domain::release::ReleaseReason;

use crate::actions;
use crate::bugs::Bug;
use crate::closing_check;
use crate::heal;
use crate::invariants::Invariants;
use crate::world::World;

/// Steps of a history before it is mended.
const STEPS: u32 = 1000;

/// A history that broke a rule.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Replays it.
    pub seed: u64,
    /// How many steps it took; one more than all when it broke while coming to rest.
    pub step: u32,
    /// What is wrong; the number is that of the invariant.
    pub what: String,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "seed {} breaks at step {}: {}", self.seed, self.step, self.what)?;
        write!(f, "replay it with AILAYER_SIM_SEED={} cargo test -p ailayer-sim no_history", self.seed)
    }
}

/// What histories have reached, to see that they reach everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Histories.
    pub seeds: u64,
    /// Jobs of the hold rail by their end: settled, lost, given back.
    pub hold: [u64; 3],
    /// Jobs of the prepaid rail by their end: settled, lost (there is no such), given back.
    pub prepaid: [u64; 3],
    /// Jobs that gave money back although their receipt was stored.
    pub voided: u64,
    /// Sealed jobs that were settled.
    pub acknowledged: u64,
    /// Sealed jobs that gave money back because their buyers did not acknowledge them.
    pub unacknowledged: u64,
    /// Jobs that took more than one attempt.
    pub retried: u64,
    /// Deposits that were credited.
    pub credited: u64,
    /// Deposits whose money went back.
    pub returned: u64,
    /// Items in suspense.
    pub suspense: u64,
}

impl Seen {
    fn of(world: &World) -> Self {
        let mut seen = Self { seeds: 1, ..Self::default() };
        for row in world.store.jobs.values() {
            let [settled, lost, released] = match row.job.rail {
                Rail::Hold => &mut seen.hold,
                Rail::Prepaid => &mut seen.prepaid,
            };
            match row.job.state {
                State::Settled => *settled += 1,
                State::Lost => *lost += 1,
                _ => *released += 1,
            }
            let is_voided = row.receipt.is_some() && !matches!(row.job.state, State::Settled | State::Lost);
            seen.voided += u64::from(is_voided);
            seen.acknowledged += u64::from(row.job.seal.is_some() && row.job.state == State::Settled);
            let reason = row.job.release_reason;
            seen.unacknowledged += u64::from(reason == Some(ReleaseReason::NotAcknowledged));
            seen.retried += u64::from(row.job.attempt > 1);
        }
        for row in world.store.deposits.values() {
            seen.credited += u64::from(row.state.as_str() == "CREDITED");
            seen.returned += u64::from(row.state.as_str() == "RETURNED");
        }
        seen.suspense = u64::try_from(world.store.suspense.len()).unwrap_or(u64::MAX);
        seen
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both = |[a, b, c]: [u64; 3], [d, e, f]: [u64; 3]| [a + d, b + e, c + f];
        Self {
            seeds: self.seeds + other.seeds,
            hold: both(self.hold, other.hold),
            prepaid: both(self.prepaid, other.prepaid),
            voided: self.voided + other.voided,
            acknowledged: self.acknowledged + other.acknowledged,
            unacknowledged: self.unacknowledged + other.unacknowledged,
            retried: self.retried + other.retried,
            credited: self.credited + other.credited,
            returned: self.returned + other.returned,
            suspense: self.suspense + other.suspense,
        }
    }
}

/// One history. With a trace it takes longer and a failure tells what happened; it is the same history.
///
/// # Errors
/// The first rule that was broken.
pub fn run_seed(seed: u64, bug: Option<Bug>, with_trace: bool) -> Result<Seen, Box<Failure>> {
    let mut world = World::new(seed, bug, with_trace);
    let mut step = 0;
    let outcome = live(&mut world, &mut step);
    outcome.map(|()| Seen::of(&world)).map_err(|what| {
        let trace = std::mem::take(&mut world.trace.lines);
        Box::new(Failure { seed, step, what, trace })
    })
}

fn live(world: &mut World, step: &mut u32) -> Result<(), String> {
    let mut invariants = Invariants::default();
    while *step < STEPS {
        *step += 1;
        actions::step(world);
        invariants.check(world)?;
    }
    *step += 1;
    heal::to_rest(world, &mut invariants)?;
    closing_check::check(world)
}

/// Many histories, one after the other. The first that breaks is run again for its trace.
///
/// # Errors
/// As [`run_seed`].
pub fn run_seeds(seeds: impl Iterator<Item = u64>, bug: Option<Bug>) -> Result<Seen, Box<Failure>> {
    let mut seen = Seen::default();
    for seed in seeds {
        match run_seed(seed, bug, false) {
            Ok(one) => seen = seen.and(one),
            Err(failure) => return Err(run_seed(seed, bug, true).err().unwrap_or(failure)),
        }
    }
    Ok(seen)
}
