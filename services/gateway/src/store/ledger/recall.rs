//! What a writer wrote last, so that its next batch need not ask first.
//!
//! Under locks a batch takes two round trips before anything is decided. A writer that remembers how it left an account
//! decides without them, and the write compares: it locks each account, in the order of their ids, and goes through only if
//! all of them hold what is remembered, and reservations that end are pending. So either everything that was decided on
//! still holds when the locks are taken, or no row is left written, what the batch names is forgotten, and it is decided
//! again under locks.
//!
//! | from memory | never |
//! |---|---|
//! | what is applied: the write compares it | a refusal or a repeat: nothing would be compared |
//! | a request id that is new, as far as is known | one that is not: its unique key refuses the write |
//! | what no time decides; the write reads the clock | an expiry |

use ailayer_primitives::RequestId;
use hashlink::LruCache;

use super::batch::{Applied, Decision, Submission, verdicts};
use super::locked::{AccountRow, Page};
use crate::domain::ledger::{AccountId, Kind, Reservation, ReservationState, Stripe, Verdict};

/// The most accounts, and the most reservations, that are remembered: some 3 MB each.
const CAPACITY: usize = 16_384;
/// Batches that are decided under locks once others have changed what was remembered.
const REST: u32 = 7;

/// Accounts and pending reservations as this writer's last commits left them.
pub struct Recall {
    accounts: LruCache<AccountId, AccountRow>,
    reservations: LruCache<(AccountId, RequestId), Reservation>,
    rest: u32,
}

impl Default for Recall {
    fn default() -> Self {
        Self { accounts: LruCache::new(CAPACITY), reservations: LruCache::new(CAPACITY), rest: 0 }
    }
}

impl Recall {
    /// Decides a batch from memory; none if that cannot be done.
    pub fn decide<'a>(
        &mut self,
        stripe: Stripe,
        submissions: impl Iterator<Item = &'a Submission> + Clone,
    ) -> Option<Decision> {
        submissions.clone().next()?;
        if let Some(rest) = self.rest.checked_sub(1) {
            self.rest = rest;
            return None;
        }
        let mut page = self.page(stripe, submissions.clone())?;
        let verdicts = verdicts(&mut page, stripe, submissions);
        let is_applied = |verdict: &Verdict| matches!(verdict, Verdict::Applied(_));
        verdicts.iter().all(is_applied).then_some(Decision { verdicts, page })
    }

    fn page<'a>(
        &mut self,
        stripe: Stripe,
        submissions: impl Iterator<Item = &'a Submission>,
    ) -> Option<Page> {
        let mut page = Page::empty();
        for Submission { operation, may_apply, .. } in submissions {
            if !may_apply || !is_plain(operation.kind()) {
                return None;
            }
            for id in operation.accounts(stripe) {
                page.put_account(id, *self.accounts.get(&id)?);
            }
            if let Some(subject) = operation.subject() {
                let key = (operation.account(), subject);
                page.put_reservation(key.0, key.1, *self.reservations.get(&key)?);
            }
        }
        Some(page)
    }

    /// Remembers what was committed just now.
    pub fn remember(&mut self, applied: &Applied) {
        let Applied { page, now, .. } = applied;
        for (id, row) in &page.rows {
            let Some(mut account) = page.book.account(*id).copied() else { continue };
            if account.version != row.was.version {
                account.updated_at = account.updated_at.max(*now);
            }
            self.accounts.insert(*id, AccountRow { was: account, ..*row });
        }
        for (account, id, reservation) in page.book.reservations() {
            if reservation.state == ReservationState::Pending {
                self.reservations.insert((account, id), *reservation);
            } else {
                self.reservations.remove(&(account, id));
            }
        }
    }

    /// Others have changed something of what a batch names.
    pub fn forget<'a>(&mut self, stripe: Stripe, submissions: impl Iterator<Item = &'a Submission>) {
        for Submission { operation, .. } in submissions {
            for id in operation.accounts(stripe) {
                self.accounts.remove(&id);
            }
            if let Some(subject) = operation.subject() {
                self.reservations.remove(&(operation.account(), subject));
            }
        }
        self.rest = REST;
    }

    /// What was done is not known, or it is not known to whom.
    pub fn forget_all(&mut self) {
        self.accounts.clear();
        self.reservations.clear();
        self.rest = REST;
    }
}

/// Looks at nothing but its accounts and a pending reservation, and never at the time: a statement that was decided from memory may
/// come late, behind the look whether it has happened.
const fn is_plain(kind: Kind) -> bool {
    matches!(kind, Kind::Credit | Kind::Debit | Kind::Reserve | Kind::Capture | Kind::Void | Kind::Post)
}
