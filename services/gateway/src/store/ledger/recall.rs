//! What a writer wrote last, so that its next batch need not ask first.
//!
//! Under locks a batch takes two round trips before anything is decided. A writer that remembers how it left an account
//! decides without them, and the write compares: it takes each account's lock, in the order of their ids, and goes through
//! only where version and time are the remembered ones. Every change of an account raises its version, which the schema
//! enforces, and whatever begins or ends a reservation changes its account. So either everything that was decided on still
//! holds when the locks are taken, or nothing is written, all is forgotten, and the batch is decided again under locks.
//!
//! | from memory | never |
//! |---|---|
//! | what is applied: the write compares it | a refusal or a repeat: nothing would be compared |
//! | a request id that is new, as far as is known | one that is not: its unique key refuses the write |
//! | what no time decides; the write reads the clock | an expiry |

use ailayer_primitives::{RequestId, UnixMs};
use hashlink::LruCache;

use super::batch::{Applied, Submission, verdicts};
use super::locked::{AccountRow, Page};
use crate::domain::ledger::{Account, AccountId, Kind, Reservation, ReservationState, Stripe, Verdict};

/// The most accounts, and the most reservations, that are remembered: some 3 MB.
const CAPACITY: usize = 16_384;
/// Batches that are decided under locks once others have changed what was remembered.
const REST: u32 = 8;

/// Accounts and pending reservations as this writer's last commits left them.
pub struct Recall {
    accounts: LruCache<AccountId, (AccountRow, Account)>,
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
    pub fn decide(&mut self, stripe: Stripe, submissions: &[Submission]) -> Option<Applied> {
        self.rest = self.rest.saturating_sub(1);
        if self.rest > 0 || submissions.is_empty() {
            return None;
        }
        let mut page = self.page(stripe, submissions)?;
        let verdicts = verdicts(&mut page, stripe, submissions);
        let is_applied = |verdict: &Verdict| matches!(verdict, Verdict::Applied(_));
        verdicts.iter().all(is_applied).then_some(Applied { verdicts, page, now: UnixMs(0) })
    }

    fn page(&mut self, stripe: Stripe, submissions: &[Submission]) -> Option<Page> {
        let mut page = Page::empty();
        for Submission { operation, may_apply, .. } in submissions {
            if !may_apply || !is_plain(operation.kind()) {
                return None;
            }
            for id in operation.accounts(stripe) {
                let (row, account) = self.accounts.get(&id)?;
                page.put_account(id, *row, *account);
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
            if account.version != row.version {
                account.updated_at = account.updated_at.max(*now);
            }
            let (version, updated_at) = (account.version, account.updated_at);
            self.accounts.insert(*id, (AccountRow { version, updated_at, ..*row }, account));
        }
        for (account, id, reservation) in page.book.reservations() {
            if reservation.state == ReservationState::Pending {
                let updated_at = reservation.updated_at.max(*now);
                self.reservations.insert((account, id), Reservation { updated_at, ..*reservation });
            } else {
                self.reservations.remove(&(account, id));
            }
        }
    }

    /// Others have changed something, or what was done is not known.
    pub fn forget(&mut self) {
        self.accounts.clear();
        self.reservations.clear();
        self.rest = REST;
    }
}

/// Looks at nothing but its accounts and a pending reservation.
const fn is_plain(kind: Kind) -> bool {
    matches!(kind, Kind::Credit | Kind::Debit | Kind::Reserve | Kind::Capture | Kind::Void | Kind::Post)
}
