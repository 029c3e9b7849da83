//! The load on a ledger: reserve and capture in turn, as prepaid jobs do, on accounts drawn by lot.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ailayer_bench::generator::{at_edges, closed_loop};
use ailayer_bench::random::Random;
use ailayer_bench::run::{ArmRun, Done, Window, count};

use crate::bank::{Bank, Held};
use crate::meter::{Meter, Spent};

/// The same accounts in every run.
const SEED: u64 = 0xACC0;

/// Debits one after the other.
pub struct Debits<'a> {
    bank: &'a Bank,
    accounts: usize,
    random: RefCell<Random>,
    /// Jobs that run: the oldest ends next.
    held: RefCell<VecDeque<Held>>,
    turn: Cell<bool>,
}

impl<'a> Debits<'a> {
    /// On all accounts of a bank.
    pub fn on_all(bank: &'a Bank) -> Self {
        Self::new(bank, bank.accounts())
    }

    /// On one account of a bank.
    pub fn on_one(bank: &'a Bank) -> Self {
        Self::new(bank, 1)
    }

    fn new(bank: &'a Bank, accounts: usize) -> Self {
        Self {
            bank,
            accounts,
            random: RefCell::new(Random::new(SEED)),
            held: RefCell::default(),
            turn: Cell::new(false),
        }
    }

    /// A reservation, or the capture of one that was made before, in turn. Answers when it was durable.
    pub async fn next(&self) -> anyhow::Result<Instant> {
        let ends = self.turn.replace(!self.turn.get());
        let held = if ends { self.held.borrow_mut().pop_front() } else { None };
        if let Some(held) = held {
            return self.bank.capture(held).await;
        }
        let customer = self.random.borrow_mut().below(self.accounts);
        let held = self.bank.reserve(customer).await?;
        let at = Instant::now();
        self.held.borrow_mut().push_back(held);
        Ok(at)
    }

    /// As [`Self::next`], for a call that was sent, or due, then.
    pub async fn done(&self, since: Instant) -> anyhow::Result<Done> {
        let at = self.next().await?;
        Ok(Done { at, count: 1, latency: at.saturating_duration_since(since) })
    }

    /// Keeps so many in flight, and meters both sides.
    pub async fn saturate(
        &self,
        meter: Meter,
        in_flight: usize,
        warm_up: Duration,
        length: Duration,
    ) -> anyhow::Result<ArmRun> {
        let window = Window::after(warm_up, length);
        let calls = closed_loop(in_flight, window, async |_| self.done(Instant::now()).await);
        let (done, (before, after)) = futures::try_join!(calls, at_edges(window, async || meter.read()))?;
        let Spent { server, client } = after.since(before);
        let operations = count(&done, window) as f64;
        Ok(ArmRun {
            server_seconds_each: server / operations,
            client_seconds_each: client / operations,
            ..ArmRun::of_rate(&done, window)
        })
    }
}
