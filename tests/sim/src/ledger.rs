//! The ledger's committed rows. What a transaction touches is laid into a [`Book`], which decides, and is written back.

use std::collections::{BTreeMap, BTreeSet};

use ailayer_gateway::domain::ledger::{
    Account, AccountId, Book, Entry, Holder, Operation, Refusal, Reservation, StoredEntry, Stripe,
    TransactionId, Verdict,
};
use ailayer_primitives::{RequestId, UnixMs};

/// An operation with the id its transaction will have (`store::ledger::Submission`).
#[derive(Debug, Clone)]
pub struct Submission {
    pub operation: Operation,
    pub transaction_id: TransactionId,
    pub may_apply: bool,
}

/// The rows of the ledger's tables.
#[derive(Debug, Default)]
pub struct Ledger {
    pub accounts: BTreeMap<AccountId, Account>,
    pub reservations: BTreeMap<(AccountId, RequestId), Reservation>,
    pub entries: BTreeMap<(AccountId, RequestId), StoredEntry>,
    pub journal: Vec<Entry>,
}

impl Ledger {
    /// Mirrors `store::ledger::batch::apply_in_tx`: the verdicts, and the page that a commit writes.
    pub fn apply(&self, stripe: Stripe, submissions: &[Submission], now: UnixMs) -> (Vec<Verdict>, Book) {
        let mut page = self.load(stripe, submissions, now);
        let apply = |submission: &Submission| {
            let Submission { operation, transaction_id, may_apply } = submission;
            let is_known = page.entry(operation.account(), operation.request_id()).is_some();
            if *may_apply || is_known {
                page.apply(operation, *transaction_id, stripe, now)
            } else {
                Verdict::Refused(Refusal::Moved)
            }
        };
        let verdicts = submissions.iter().map(apply).collect();
        (verdicts, page)
    }

    /// Mirrors `store::ledger::locked::load_in_tx`: only what the submissions name; our own accounts open themselves.
    fn load(&self, stripe: Stripe, submissions: &[Submission], now: UnixMs) -> Book {
        let mut page = Book::default();
        let accounts = submissions.iter().flat_map(|submission| submission.operation.accounts(stripe));
        for id in accounts.collect::<BTreeSet<_>>() {
            match (self.accounts.get(&id), id.holder) {
                (Some(account), _) => page.put_account(id, *account),
                (None, Holder::House(..)) => page.put_account(id, Account::new(None, now)),
                (None, _) => {}
            }
        }
        for submission in submissions {
            let (account, id) = (submission.operation.account(), submission.operation.request_id());
            if let Some(entry) = self.entries.get(&(account, id)) {
                page.put_entry(account, id, *entry);
            }
            let Some(subject) = submission.operation.subject() else { continue };
            if let Some(reservation) = self.reservations.get(&(account, subject)) {
                page.put_reservation(account, subject, *reservation);
            }
        }
        page
    }

    /// Mirrors `store::ledger::write::write_in_tx`.
    pub fn write(&mut self, page: &Book) {
        if page.journal().is_empty() {
            return;
        }
        self.accounts.extend(page.accounts().map(|(id, account)| (id, *account)));
        let reservations = page.reservations();
        self.reservations
            .extend(reservations.map(|(account, id, reservation)| ((account, id), *reservation)));
        for entry in page.journal() {
            self.entries.insert((entry.account, entry.request_id), entry.stored);
            self.journal.push(entry.clone());
        }
    }
}
