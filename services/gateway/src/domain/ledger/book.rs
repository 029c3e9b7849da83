//! The accounts, and one operation after the other.
//!
//! The whole ledger in a test, the locked part of it in a batch: the rules are the same code.

use ailayer_primitives::{Digest, RequestId, UnixMs};
use foldhash::{HashMap, HashSet};

use super::account::{Account, AccountId, Stripe};
use super::decide::{Change, decide};
use super::operation::{Kind, Note, Operation};
use super::reservation::Reservation;
use super::verdict::{Posted, Refusal, TransactionId, Verdict};

/// What is kept of an applied operation for its repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry {
    /// What was asked.
    pub body_digest: Digest,
    /// What kind it was.
    pub kind: Kind,
    /// How much it was about.
    pub amount_units: i64,
    /// What was answered.
    pub posted: Posted,
}

/// A line as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostedLine {
    /// Which account.
    pub account: AccountId,
    /// The account's version behind it: lines of an account are in this order.
    pub version: u64,
    /// How much, debit positive.
    pub amount_units: i64,
    /// The account's balance behind it, on its own side.
    pub balance_units: i64,
}

/// An operation that this book has applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose request id it is.
    pub account: AccountId,
    /// The request.
    pub request_id: RequestId,
    /// The earlier request it is about.
    pub subject: Option<RequestId>,
    /// What is kept for repeats.
    pub stored: StoredEntry,
    /// The lines; none if no balance moved.
    pub lines: Vec<PostedLine>,
    /// The remark.
    pub note: Note,
}

/// Accounts, reservations and everything that was ever applied to them.
#[derive(Debug, Clone, Default)]
pub struct Book {
    accounts: HashMap<AccountId, Account>,
    reservations: HashMap<(AccountId, RequestId), Reservation>,
    entries: HashMap<(AccountId, RequestId), StoredEntry>,
    reversed: HashSet<(AccountId, RequestId)>,
    journal: Vec<Entry>,
}

impl Book {
    /// Puts an account in as it is.
    pub fn put_account(&mut self, id: AccountId, account: Account) {
        self.accounts.insert(id, account);
    }

    /// Puts a reservation in as it is.
    pub fn put_reservation(&mut self, account: AccountId, id: RequestId, reservation: Reservation) {
        self.reservations.insert((account, id), reservation);
    }

    /// Puts in what was applied before.
    pub fn put_entry(&mut self, account: AccountId, request_id: RequestId, entry: StoredEntry) {
        self.entries.insert((account, request_id), entry);
    }

    /// Notes that a deposit was reversed before.
    pub fn put_reversed(&mut self, account: AccountId, deposit: RequestId) {
        self.reversed.insert((account, deposit));
    }

    /// An account.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// All accounts, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = (AccountId, &Account)> {
        self.accounts.iter().map(|(id, account)| (*id, account))
    }

    /// A reservation.
    pub fn reservation(&self, account: AccountId, id: RequestId) -> Option<&Reservation> {
        self.reservations.get(&(account, id))
    }

    /// All reservations, in no order.
    pub fn reservations(&self) -> impl Iterator<Item = (AccountId, RequestId, &Reservation)> {
        self.reservations.iter().map(|((account, id), reservation)| (*account, *id, reservation))
    }

    /// What was applied under a request id.
    pub fn entry(&self, account: AccountId, request_id: RequestId) -> Option<&StoredEntry> {
        self.entries.get(&(account, request_id))
    }

    /// Whether a deposit was reversed.
    pub fn is_reversed(&self, account: AccountId, deposit: RequestId) -> bool {
        self.reversed.contains(&(account, deposit))
    }

    /// What was applied to this book, in order.
    pub fn journal(&self) -> &[Entry] {
        &self.journal
    }

    /// Applies one operation: all of it or nothing. `transaction_id` names it if it is applied; `now` is the database's
    /// clock. House accounts are posted to on their sub-account `stripe`.
    pub fn apply(
        &mut self,
        operation: &Operation,
        transaction_id: TransactionId,
        stripe: Stripe,
        now: UnixMs,
    ) -> Verdict {
        let body_digest = operation.body_digest();
        if let Some(stored) = self.entry(operation.account(), operation.request_id()) {
            return if stored.body_digest == body_digest {
                Verdict::Duplicate(stored.posted)
            } else {
                Verdict::Refused(Refusal::RequestIdReused)
            };
        }
        let changed = decide(operation, stripe, self, now)
            .and_then(|change| self.after(operation.account(), &change, now).map(|after| (change, after)));
        match changed {
            Ok((change, after)) => {
                Verdict::Applied(self.write(operation, transaction_id, body_digest, change, after))
            }
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// The touched accounts as they would be, the operation's first.
    fn after(
        &self,
        id: AccountId,
        change: &Change,
        now: UnixMs,
    ) -> Result<Vec<(AccountId, Account)>, Refusal> {
        let others = change.lines.iter().map(|(account, _)| *account).filter(|account| *account != id);
        let mut after = Vec::with_capacity(change.lines.len().max(1));
        let mut updated_at = now;
        for touched in std::iter::once(id).chain(others) {
            let mut account = *self.account(touched).ok_or(Refusal::UnknownAccount)?;
            updated_at = updated_at.max(account.updated_at);
            account.version = account.version.checked_add(1).ok_or(Refusal::Overflow)?;
            if let Some((_, units)) = change.lines.iter().find(|(line, _)| *line == touched) {
                let moved = touched.side().change(*units);
                account.balance_units =
                    moved.and_then(|by| account.balance_units.checked_add(by)).ok_or(Refusal::Overflow)?;
            }
            if touched == id {
                account.reserved_units =
                    account.reserved_units.checked_add(change.reserved_units).ok_or(Refusal::Overflow)?;
                account.frozen = change.frozen.unwrap_or(account.frozen);
                account.limit_units = change.limit_units.or(account.limit_units);
            }
            after.push((touched, account));
        }
        // A clock that was put back does not take a statement out of order.
        after.iter_mut().for_each(|(_, account)| account.updated_at = updated_at);
        Ok(after)
    }

    fn write(
        &mut self,
        operation: &Operation,
        transaction_id: TransactionId,
        body_digest: Digest,
        change: Change,
        after: Vec<(AccountId, Account)>,
    ) -> Posted {
        let (id, request_id) = (operation.account(), operation.request_id());
        let state_of = |id: AccountId| after.iter().find(|(it, _)| *it == id).map(|(_, account)| *account);
        let own = state_of(id).unwrap_or(Account::new(None, UnixMs(0)));
        let posted = Posted {
            transaction_id,
            posted_at: own.updated_at,
            balance_units: own.balance_units,
            reserved_units: own.reserved_units,
            shortfall_units: change.shortfall_units,
        };
        let line = |(line, amount_units): &(AccountId, i64)| {
            let account = state_of(*line)?;
            Some(PostedLine {
                account: *line,
                version: account.version,
                amount_units: *amount_units,
                balance_units: account.balance_units,
            })
        };
        let lines = change.lines.iter().filter_map(line).collect();
        self.accounts.extend(after);
        if let Some((reservation_id, reservation)) = change.reservation {
            self.reservations.insert((id, reservation_id), reservation);
        }
        if let (Kind::Reverse, Some(deposit)) = (operation.kind(), operation.subject()) {
            self.reversed.insert((id, deposit));
        }
        let stored =
            StoredEntry { body_digest, kind: operation.kind(), amount_units: change.amount_units, posted };
        self.entries.insert((id, request_id), stored);
        self.journal.push(Entry {
            account: id,
            request_id,
            subject: operation.subject(),
            stored,
            lines,
            note: operation.note().clone(),
        });
        posted
    }
}
