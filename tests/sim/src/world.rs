//! Everything there is in one history, and what is out of order in it.

use std::fmt;

use ailayer_gateway::domain::job::Rules;
use ailayer_gateway::domain::ledger::{
    Account, AccountId, Action, Amount, Asset, CustomerId, Direction, HouseKind, Operation, Stripe,
    TransactionId,
};
use ailayer_primitives::{JobId, RequestId, UnixMs};
use uuid::Uuid;

use crate::audit::{AppendFault, Audit};
use crate::bugs::Bug;
use crate::buyers::Buyers;
use crate::gateway::Replica;
use crate::ledger::Submission;
use crate::payment::{Fault, Payment};
use crate::rng::Rng;
use crate::serving::Serving;
use crate::store::{Store, Tx};

/// The limits in force. Time jumps are of the same size, so that all of them are met.
pub const RULES: Rules = Rules {
    run_limit_ms: 60_000,
    append_timeout_ms: 30_000,
    acknowledge_timeout_ms: 20_000,
    claim_margin_blocks: 2,
};
/// How long a lease lasts.
pub const LEASE_MS: u64 = 15_000;
/// How long a quote or a deposit may be paid, seconds.
pub const EXPIRY_S: u32 = 600;
/// What each customer has at first: enough for a few jobs, not for all.
const FIRST_BALANCE: i64 = 9_000;
/// When every history begins.
const BEGIN: UnixMs = UnixMs(1_700_000_000_000);
const FIRST_HEIGHT: u32 = 800_000;

/// One of the two gateways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    A,
    B,
}

/// A write that was not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failed {
    /// Nothing was written.
    Before,
    /// The connection was cut at COMMIT: it may be written or not.
    Unclear,
}

/// How often things go wrong, in percent.
#[derive(Debug, Clone, Copy)]
pub struct Storm {
    pub store: u64,
    pub payment: u64,
    pub audit: u64,
    pub serving: u64,
    pub stream: u64,
}

impl Storm {
    pub const CALM: Self = Self { store: 0, payment: 0, audit: 0, serving: 0, stream: 0 };

    /// Some histories are calm, some rough in one place, some in all.
    fn of(rng: &mut Rng) -> Self {
        let mut level = || rng.pick(&[0, 0, 3, 8, 20]).unwrap_or(0);
        Self { store: level(), payment: level(), audit: level(), serving: level(), stream: level() }
    }
}

/// Makes ids, never the same twice.
#[derive(Debug, Default)]
pub struct Ids(u64);

impl Ids {
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }

    pub fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(1 << 100 | u128::from(self.number()))
    }

    pub fn job(&mut self) -> JobId {
        JobId::new(self.uuid())
    }

    pub fn request(&mut self) -> RequestId {
        RequestId::new(self.uuid())
    }

    pub fn transaction(&mut self) -> TransactionId {
        TransactionId::new(self.uuid())
    }
}

/// What happened, for a person; only kept when one wants to read it.
#[derive(Debug, Default)]
pub struct Trace {
    pub is_kept: bool,
    pub lines: Vec<String>,
}

/// One history.
#[derive(Debug)]
pub struct World {
    pub rng: Rng,
    pub storm: Storm,
    pub bug: Option<Bug>,
    pub now: UnixMs,
    /// The chain's height; the node may lag behind.
    pub height: u32,
    pub ids: Ids,
    pub store: Store,
    /// The database answers nobody.
    pub is_store_down: bool,
    /// An operator has stopped claims.
    pub are_claims_paused: bool,
    pub payment: Payment,
    pub audit: Audit,
    pub serving: Serving,
    pub buyers: Buyers,
    /// The first event that did not fit what it was about: noted and passed over, for a person. There must be none.
    pub misfit: Option<String>,
    pub a: Replica,
    pub b: Replica,
    pub trace: Trace,
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>, is_traced: bool) -> Self {
        let mut rng = Rng::new(seed);
        let storm = Storm::of(&mut rng);
        let mut world = Self {
            rng,
            storm,
            bug,
            now: BEGIN,
            height: FIRST_HEIGHT,
            ids: Ids::default(),
            store: Store::default(),
            is_store_down: false,
            are_claims_paused: false,
            payment: Payment::new(FIRST_HEIGHT),
            audit: Audit::default(),
            serving: Serving::default(),
            buyers: Buyers::default(),
            misfit: None,
            a: Replica::default(),
            b: Replica::default(),
            trace: Trace { is_kept: is_traced, lines: Vec::new() },
        };
        for _ in 0..2 {
            world.open_account();
        }
        world
    }

    /// A customer with a first balance, which an operator has granted.
    fn open_account(&mut self) {
        let customer = CustomerId::new(self.ids.uuid());
        let account = AccountId::customer(customer, Asset::Btc);
        self.store.ledger.accounts.insert(account, Account::new(Some(0), self.now));
        let grant = Amount::try_new(FIRST_BALANCE).ok().and_then(|amount| {
            let action = Action::Adjust { direction: Direction::Credit, amount, against: HouseKind::Fees };
            Operation::try_new(account, self.ids.request(), action).ok()
        });
        if let Some(operation) = grant {
            let submission =
                Submission { operation, transaction_id: self.ids.transaction(), may_apply: true };
            let (_, page) = self.store.ledger.apply(Stripe::of_writer(Uuid::nil()), &[submission], self.now);
            self.store.ledger.write(&page);
        }
        self.buyers.accounts.push(customer);
    }

    pub fn replica(&mut self, which: Which) -> &mut Replica {
        match which {
            Which::A => &mut self.a,
            Which::B => &mut self.b,
        }
    }

    /// Writes a line of the trace, if anybody reads it.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if self.trace.is_kept {
            let line = line();
            self.trace.lines.push(format!(
                "{:>9} ms {} | {line}",
                self.now.0.saturating_sub(BEGIN.0),
                self.height
            ));
        }
    }

    /// Reads committed rows.
    pub fn read<T>(&mut self, read: impl FnOnce(&Store) -> T) -> Result<T, Failed> {
        if self.is_store_down { Err(Failed::Before) } else { Ok(read(&self.store)) }
    }

    /// Writes in one commit, or does not; and it may not be known which.
    pub fn write<T>(&mut self, write: impl FnOnce(&mut Store) -> T) -> Result<T, Failed> {
        if self.is_store_down {
            return Err(Failed::Before);
        }
        if !self.rng.chance(self.storm.store) {
            return Ok(write(&mut self.store));
        }
        match self.rng.below(3) {
            0 => Err(Failed::Before),
            1 => {
                self.note(|| "  the commit is cut, and not written".to_owned());
                Err(Failed::Unclear)
            }
            _ => {
                self.note(|| "  the commit is cut, and written".to_owned());
                write(&mut self.store);
                Err(Failed::Unclear)
            }
        }
    }

    /// Commits a transaction.
    pub fn commit(&mut self, tx: Tx) -> Result<(), Failed> {
        self.write(|store| store.write(tx))
    }

    /// What befalls the next call to the payment service.
    pub fn payment_fault(&mut self) -> Fault {
        if !self.rng.chance(self.storm.payment) {
            return Fault::Fine;
        }
        let faults = [
            Fault::Unreachable,
            Fault::ReplyLost,
            Fault::ReplyLost,
            Fault::CrashBehindWrite,
            Fault::CrashBehindCall,
            Fault::NodeSilent,
            Fault::NodeSilent,
        ];
        let fault = self.rng.pick(&faults).unwrap_or(Fault::Fine);
        self.note(|| format!("  payment: {fault:?}"));
        fault
    }

    /// What befalls the next call to the log.
    pub fn append_fault(&mut self, may_refuse: bool) -> AppendFault {
        if !self.rng.chance(self.storm.audit) {
            return AppendFault::Fine;
        }
        let fault = match self.rng.below(8) {
            0 if may_refuse => AppendFault::Refused,
            0..4 => AppendFault::LostBefore,
            _ => AppendFault::LostAfter,
        };
        self.note(|| format!("  log: {fault:?}"));
        fault
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}
