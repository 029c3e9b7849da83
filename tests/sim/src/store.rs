//! The gateway's committed rows, and transactions that are written as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};

use ailayer_gateway::domain::deposit::DepositState;
use ailayer_gateway::domain::job::Job;
use ailayer_gateway::domain::ledger::{Book, CustomerId};
use ailayer_gateway::domain::price::Price;
use ailayer_primitives::{AmountMsat, JobId, RequestId, UnixMs};
use uuid::Uuid;

use crate::audit::{Closing, Receipt};
use crate::ledger::Ledger;
use crate::world::Which;

/// How far behind the cursor ids of events are remembered; mirrors `ailayer_store::inbox::REMEMBERED`.
const REMEMBERED: u64 = 1024;

/// A job's row.
#[derive(Debug, Clone)]
pub struct JobRow {
    pub job_id: JobId,
    pub request_id: RequestId,
    /// Whose balance, on the prepaid rail.
    pub payer: Option<CustomerId>,
    /// Stands for the digest of what was asked.
    pub body: u64,
    pub version: u64,
    pub job: Job,
    pub price: Price,
    pub tokens: u64,
    pub has_invoice: bool,
    pub receipt: Option<Receipt>,
    /// Stands for the stored answer.
    pub output: Option<u64>,
    pub leaf_index: Option<usize>,
    pub closing: Option<Closing>,
    pub closing_index: Option<usize>,
    pub taken: Option<AmountMsat>,
    pub wake: Option<UnixMs>,
    pub lease: Option<(Which, UnixMs)>,
}

/// A deposit's row.
#[derive(Debug, Clone)]
pub struct DepositRow {
    pub deposit_id: Uuid,
    pub account: CustomerId,
    pub request_id: RequestId,
    pub amount: AmountMsat,
    pub state: DepositState,
    pub expiry: UnixMs,
    pub has_invoice: bool,
    pub credited: Option<AmountMsat>,
}

/// A closing entry on its way to the log.
#[derive(Debug, Clone)]
pub struct OutboxItem {
    pub id: u64,
    pub job_id: JobId,
    pub closing: Closing,
    pub due: UnixMs,
    pub attempts: u32,
}

/// Money that waits for a person.
#[derive(Debug, Clone, Copy)]
pub struct SuspenseItem {
    pub source_id: Uuid,
    pub amount: AmountMsat,
}

/// What a transaction will write.
#[derive(Debug, Default)]
pub struct Tx {
    pub jobs: Vec<JobRow>,
    pub deposits: Vec<DepositRow>,
    pub page: Option<Book>,
    /// An event's id and cursor, noted in the inbox.
    pub accepted: Option<(Uuid, u64)>,
    /// The event that the rest of this transaction follows from.
    pub acted_on: Option<Uuid>,
    pub outbox: Vec<OutboxItem>,
    pub suspense: Vec<SuspenseItem>,
}

/// What was written since somebody looked last.
#[derive(Debug, Default)]
pub struct Touched {
    pub jobs: BTreeSet<JobId>,
    pub deposits: BTreeSet<Uuid>,
}

/// Everything that survives a crash.
#[derive(Debug, Default)]
pub struct Store {
    pub jobs: BTreeMap<JobId, JobRow>,
    /// The unique keys: of buyers without an account, and of each account.
    pub requests: BTreeMap<(Option<CustomerId>, RequestId), JobId>,
    pub deposits: BTreeMap<Uuid, DepositRow>,
    pub ledger: Ledger,
    pub inbox: BTreeSet<Uuid>,
    pub cursor: u64,
    /// Every event that changed rows, once for each time it did.
    pub acted_on: Vec<Uuid>,
    pub outbox: BTreeMap<u64, OutboxItem>,
    pub suspense: Vec<SuspenseItem>,
    pub touched: Touched,
}

impl Store {
    /// Mirrors `inbox::accept_in_tx`: whether the event is new.
    pub fn is_new(&self, event_id: Uuid, cursor: u64) -> bool {
        cursor > self.cursor.saturating_sub(REMEMBERED) && !self.inbox.contains(&event_id)
    }

    /// All of it.
    pub fn write(&mut self, tx: Tx) {
        for row in tx.jobs {
            self.put_job(row);
        }
        for row in tx.deposits {
            self.touched.deposits.insert(row.deposit_id);
            self.deposits.insert(row.deposit_id, row);
        }
        if let Some(page) = &tx.page {
            self.ledger.write(page);
        }
        if let Some((event_id, cursor)) = tx.accepted {
            self.inbox.insert(event_id);
            self.cursor = self.cursor.max(cursor);
        }
        self.acted_on.extend(tx.acted_on);
        self.outbox.extend(tx.outbox.into_iter().map(|item| (item.id, item)));
        self.suspense.extend(tx.suspense);
    }

    pub fn put_job(&mut self, row: JobRow) {
        self.touched.jobs.insert(row.job_id);
        self.requests.entry((row.payer, row.request_id)).or_insert(row.job_id);
        self.jobs.insert(row.job_id, row);
    }

    pub fn job_of(&self, payer: Option<CustomerId>, request_id: RequestId) -> Option<&JobRow> {
        self.requests.get(&(payer, request_id)).and_then(|job_id| self.jobs.get(job_id))
    }

    pub fn deposit_of(&self, account: CustomerId, request_id: RequestId) -> Option<&DepositRow> {
        self.deposits.values().find(|row| row.account == account && row.request_id == request_id)
    }
}
