//! What a seed does: how many gateways and customers, and what is asked, paid, broken and killed in which round.

use std::time::Duration;

use ailayer_platform::error::ErrorReason;

use crate::fakes::{audit, serving};
use crate::ledger::bank::Random;

/// Customers of a town.
pub const CUSTOMERS: usize = 4;
const ROUNDS: u64 = 4;

/// Something that somebody does. Numbers that name earlier things are taken modulo how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// A stranger asks for a quote, pays it, and perhaps thinks better of it.
    Buy { words: u64, pays: Payment, cancels: bool },
    /// A stranger cancels some earlier job.
    Cancel(u64),
    /// The deadline guard gives the money of some job back.
    Guard(u64),
    /// Word of money for a job that is over.
    TellLate(u64),
    /// A customer orders a job, at so many gateways at once.
    Order { customer: usize, words: u64, twins: u64 },
    /// An order again, under its own request id.
    Repeat(u64),
    /// A customer gives up what runs.
    CancelRunning(usize),
    /// A customer funds the balance.
    Deposit { customer: usize, msat: u64, beyond: u64 },
    /// An operator freezes an account.
    Freeze(usize),
    /// And takes that back.
    Unfreeze(usize),
    /// An event comes again.
    TellAgain(u64),
    /// A gateway dies and another one starts in its place.
    Kill(usize),
}

/// What a stranger pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payment {
    Price,
    /// So much more.
    Beyond(u64),
    /// So much less.
    Below(u64),
    Nothing,
    /// Nothing, and the invoice runs out.
    RunsOut,
}

/// Things that happen at once, in a state of the world around.
#[derive(Debug, Clone)]
pub struct Round {
    pub deeds: Vec<Deed>,
    pub model: serving::Mood,
    pub log: audit::Mood,
    pub payment_is_down: bool,
    pub lost_answers: u32,
    /// The chain has run up to the deadline of everything that is held.
    pub deadline_is_near: bool,
    /// How long the next round waits at most.
    pub lasts: Duration,
}

#[derive(Debug, Clone)]
pub struct Plan {
    pub gateways: usize,
    /// How long the log may take; short enough in some to run out.
    pub append_timeout_ms: u64,
    pub rounds: Vec<Round>,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let gateways = 2 + usize::try_from(random.below(3)).unwrap();
        let append_timeout_ms = if random.below(3) == 0 { 300 } else { 20_000 };
        let rounds = (0..ROUNDS).map(|_| round(&mut random, gateways)).collect();
        Self { gateways, append_timeout_ms, rounds }
    }
}

fn round(random: &mut Random, gateways: usize) -> Round {
    let count = 3 + random.below(4);
    Round {
        deeds: (0..count).map(|_| deed(random, gateways)).collect(),
        model: match random.below(12) {
            0 => serving::Mood::Fails(ErrorReason::ModelFailed),
            1 => serving::Mood::FailsTimes(2, ErrorReason::Overloaded),
            2 => serving::Mood::OtherTokens,
            3 => serving::Mood::NotFinite,
            4..=6 => serving::Mood::Slow(Duration::from_millis(30 + random.below(120))),
            _ => serving::Mood::Works,
        },
        // One that hangs hangs up to the relay's patience: the suite's own tests have that.
        log: match random.below(10) {
            0..=1 => audit::Mood::Unavailable,
            2 => audit::Mood::Refuses,
            3 => audit::Mood::FailsTimes(1),
            _ => audit::Mood::Works,
        },
        payment_is_down: random.below(10) == 0,
        lost_answers: u32::try_from(random.below(3)).unwrap(),
        deadline_is_near: random.below(12) == 0,
        lasts: Duration::from_millis(60 + random.below(120)),
    }
}

fn deed(random: &mut Random, gateways: usize) -> Deed {
    let customer = usize::try_from(random.below(4)).unwrap() % CUSTOMERS;
    let words = 1 + random.below(4);
    match random.below(30) {
        0..=8 => Deed::Buy { words, pays: payment(random), cancels: random.below(6) == 0 },
        9 => Deed::Cancel(random.next()),
        10 => Deed::Guard(random.next()),
        11 => Deed::TellLate(random.next()),
        12..=19 => Deed::Order { customer, words, twins: 1 + random.below(3) },
        20..=21 => Deed::Repeat(random.next()),
        22 => Deed::CancelRunning(customer),
        23..=24 => {
            let beyond = if random.below(3) == 0 { 1 + random.below(500) } else { 0 };
            Deed::Deposit { customer, msat: 1000 + random.below(3000), beyond }
        }
        25 => Deed::Freeze(customer),
        26 => Deed::Unfreeze(customer),
        27 => Deed::TellAgain(random.next()),
        _ => Deed::Kill(usize::try_from(random.next() % 4).unwrap() % gateways),
    }
}

fn payment(random: &mut Random) -> Payment {
    match random.below(10) {
        0 => Payment::Beyond(1 + random.below(900)),
        1 => Payment::Below(1 + random.below(900)),
        2 => Payment::Nothing,
        3 => Payment::RunsOut,
        _ => Payment::Price,
    }
}
