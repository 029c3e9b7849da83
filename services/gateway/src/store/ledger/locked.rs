//! The part of the ledger that a batch needs: locked, then read.

use std::collections::BTreeSet;

use ailayer_primitives::{Digest, JobId, RequestId, UnixMs};
use ailayer_store::{StoreError, Tx};
use foldhash::{HashMap, HashSet};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::batch::Submission;
use crate::domain::ledger::{
    Account, AccountId, Amount, Book, Holder, Kind, Posted, Reservation, StoredEntry, Stripe, Terms,
    TransactionId,
};
use crate::store::{corrupt, from_bigint};

/// The locked part of the ledger.
pub(super) struct Page {
    /// What the rules look at and change.
    pub book: Book,
    /// The database's clock, after the locks were taken. None for what is decided without a look: the write reads it, just
    /// before it takes them.
    pub now: Option<UnixMs>,
    /// The rows, as they were read.
    pub rows: HashMap<AccountId, AccountRow>,
    /// The reservations that have a row.
    pub stored_reservations: HashSet<(AccountId, RequestId)>,
}

/// An account's row as the rules have seen it: the write goes through if it still is.
#[derive(Debug, Clone, Copy)]
pub(super) struct AccountRow {
    pub account_id: i64,
    /// What it held.
    pub was: Account,
}

impl Page {
    pub(super) fn empty() -> Self {
        Self {
            book: Book::default(),
            now: None,
            rows: HashMap::default(),
            stored_reservations: HashSet::default(),
        }
    }

    pub(super) fn put_account(&mut self, id: AccountId, row: AccountRow) {
        self.rows.insert(id, row);
        self.book.put_account(id, row.was);
    }

    /// One that has a row.
    pub(super) fn put_reservation(&mut self, account: AccountId, id: RequestId, reservation: Reservation) {
        self.stored_reservations.insert((account, id));
        self.book.put_reservation(account, id, reservation);
    }
}

pub(super) async fn load_in_tx(
    tx: &mut Tx,
    stripe: Stripe,
    submissions: &[Submission],
) -> Result<Page, StoreError> {
    let wanted: BTreeSet<AccountId> =
        submissions.iter().flat_map(|submission| submission.operation.accounts(stripe)).collect();
    let mut page = Page::empty();
    lock_accounts(tx, &mut page, &wanted).await?;
    let is_missing_house =
        |id: &&AccountId| matches!(id.holder, Holder::House(..)) && !page.rows.contains_key(*id);
    let missing: BTreeSet<AccountId> = wanted.iter().filter(is_missing_house).copied().collect();
    if !missing.is_empty() {
        // Once in the life of a sub-account.
        super::accounts::open_in_tx(tx, missing.iter().copied(), None).await?;
        lock_accounts(tx, &mut page, &missing).await?;
    }
    read(tx, &mut page, submissions).await?;
    read_reversed(tx, &mut page, submissions).await?;
    Ok(page)
}

async fn lock_accounts(tx: &mut Tx, page: &mut Page, wanted: &BTreeSet<AccountId>) -> Result<(), StoreError> {
    let by_code: HashMap<String, AccountId> = wanted.iter().map(|id| (id.to_string(), *id)).collect();
    let codes: Vec<&str> = by_code.keys().map(String::as_str).collect();
    let rows = sqlx::query(
        "select account_id, code, balance_units, reserved_units, limit_units, frozen, version, updated_unix_ms
         from ledger_accounts where code = any($1) order by account_id for update",
    )
    .bind(codes)
    .fetch_all(&mut **tx)
    .await?;
    for row in &rows {
        let code: &str = row.try_get(1)?;
        let Some(id) = by_code.get(code).copied() else { continue };
        page.put_account(id, AccountRow { account_id: row.try_get(0)?, was: account(row, 2)? });
    }
    Ok(())
}

/// Six columns from `at`: balance, reserved, limit, frozen, version, updated.
pub(super) fn account(row: &PgRow, at: usize) -> Result<Account, StoreError> {
    Ok(Account {
        balance_units: row.try_get(at)?,
        reserved_units: row.try_get(at + 1)?,
        limit_units: row.try_get(at + 2)?,
        frozen: row.try_get(at + 3)?,
        version: from_bigint(row.try_get(at + 4)?, "version of an account")?,
        updated_at: UnixMs(from_bigint(row.try_get(at + 5)?, "time of an account")?),
    })
}

/// What is to be read, in columns.
#[derive(Default)]
struct Wanted {
    accounts: Vec<i64>,
    requests: Vec<Uuid>,
    reservations: Vec<Option<Uuid>>,
}

impl Page {
    /// What these submissions name, each id once.
    fn wanted(&self, submissions: &[Submission]) -> Wanted {
        let (mut seen, mut wanted) = (HashSet::default(), Wanted::default());
        for operation in submissions.iter().map(|submission| &submission.operation) {
            let Some(row) = self.rows.get(&operation.account()) else { continue };
            let is_reversal = operation.kind() == Kind::Reverse;
            let reservation = operation.subject().filter(|_| !is_reversal);
            // A reversal looks at its deposit.
            let deposit = operation.subject().filter(|_| is_reversal).map(|deposit| (deposit, None));
            for (request, reservation) in
                std::iter::once((operation.request_id(), reservation)).chain(deposit)
            {
                if seen.insert((row.account_id, request, reservation)) {
                    wanted.accounts.push(row.account_id);
                    wanted.requests.push(request.uuid());
                    wanted.reservations.push(reservation.map(RequestId::uuid));
                }
            }
        }
        wanted
    }

    fn names(&self) -> HashMap<i64, AccountId> {
        self.rows.iter().map(|(id, row)| (row.account_id, *id)).collect()
    }
}

/// The entries under the ids of these submissions, and the reservations that they are about. After the locks: whoever wrote
/// under the same ids has committed by now, and whoever will, waits.
///
/// Each id is looked up by itself, whatever the planner thinks of the tables' sizes: plans are kept, and a young ledger's
/// would go on to read whole what has grown since.
const READ: &str = "select clock.now, wanted.account_id, wanted.request_id, wanted.reservation_id,
        entry.body_digest, entry.kind, entry.amount_units, entry.transaction_id, entry.posted_unix_ms,
        entry.balance_units, entry.reserved_units, entry.shortfall_units,
        held.amount_units, held.captured_units, held.state, held.expires_unix_ms, held.job_id, held.updated_unix_ms
    from (select unix_ms() as now) clock
    left join unnest($1::bigint[], $2::uuid[], $3::uuid[]) as wanted (account_id, request_id, reservation_id) on true
    left join lateral (select * from ledger_transactions stored
        where stored.request_id = wanted.request_id and stored.account_id = wanted.account_id limit 1) entry on true
    left join lateral (select * from ledger_reservations stored
        where stored.account_id = wanted.account_id and stored.reservation_id = wanted.reservation_id limit 1) held on true";

async fn read(tx: &mut Tx, page: &mut Page, submissions: &[Submission]) -> Result<(), StoreError> {
    let Wanted { accounts, requests, reservations } = page.wanted(submissions);
    let rows =
        sqlx::query(READ).bind(accounts).bind(requests).bind(reservations).fetch_all(&mut **tx).await?;
    let names = page.names();
    for row in &rows {
        page.now = Some(UnixMs(from_bigint(row.try_get(0)?, "the clock")?));
        let Some(account) = row.try_get::<Option<i64>, _>(1)?.and_then(|id| names.get(&id)).copied() else {
            continue;
        };
        if let Some(digest) = row.try_get::<Option<&[u8]>, _>(4)? {
            page.book.put_entry(account, RequestId::new(row.try_get(2)?), stored_entry(row, digest)?);
        }
        if let Some(amount) = row.try_get::<Option<i64>, _>(12)? {
            let id = RequestId::new(row.try_get(3)?);
            page.put_reservation(account, id, reservation(row, amount)?);
        }
    }
    Ok(())
}

fn stored_entry(row: &PgRow, body_digest: &[u8]) -> Result<StoredEntry, StoreError> {
    let kind: &str = row.try_get(5)?;
    Ok(StoredEntry {
        body_digest: Digest::try_from(body_digest).map_err(|error| corrupt("body digest")(&error))?,
        kind: kind.parse().map_err(|error| corrupt("kind")(&error))?,
        amount_units: row.try_get(6)?,
        posted: Posted {
            transaction_id: TransactionId::new(row.try_get(7)?),
            posted_at: UnixMs(from_bigint(row.try_get(8)?, "time of a transaction")?),
            balance_units: row.try_get(9)?,
            reserved_units: row.try_get(10)?,
            shortfall_units: row.try_get(11)?,
        },
    })
}

fn reservation(row: &PgRow, amount: i64) -> Result<Reservation, StoreError> {
    let state: &str = row.try_get(14)?;
    let terms = match (row.try_get::<Option<i64>, _>(15)?, row.try_get::<Option<Uuid>, _>(16)?) {
        (Some(at), None) => Terms::ExpiresAt(UnixMs(from_bigint(at, "expiry of a reservation")?)),
        (None, Some(job_id)) => Terms::HeldBy(JobId::new(job_id)),
        _ => return Err(StoreError::Corrupt("a reservation needs an expiry or a job".to_owned())),
    };
    Ok(Reservation {
        amount: Amount::try_new(amount).map_err(|error| corrupt("reservation")(&error))?,
        terms,
        state: state.parse().map_err(|error| corrupt("reservation")(&error))?,
        captured_units: row.try_get(13)?,
        updated_at: UnixMs(from_bigint(row.try_get(17)?, "time of a reservation")?),
    })
}

async fn read_reversed(tx: &mut Tx, page: &mut Page, submissions: &[Submission]) -> Result<(), StoreError> {
    let reversals = submissions.iter().map(|submission| &submission.operation);
    let reversals = reversals.filter(|operation| operation.kind() == Kind::Reverse);
    let deposits = reversals.filter_map(|operation| {
        Some((page.rows.get(&operation.account())?.account_id, operation.subject()?.uuid()))
    });
    let (accounts, deposits): (Vec<i64>, Vec<Uuid>) = deposits.collect::<BTreeSet<_>>().into_iter().unzip();
    if accounts.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(
        "select account_id, subject_id from unnest($1::bigint[], $2::uuid[]) as wanted (account_id, subject_id)
         join ledger_transactions using (account_id, subject_id) where kind = 'reverse'",
    )
    .bind(accounts)
    .bind(deposits)
    .fetch_all(&mut **tx)
    .await?;
    let names = page.names();
    for row in &rows {
        if let Some(account) = names.get(&row.try_get(0)?) {
            page.book.put_reversed(*account, RequestId::new(row.try_get(1)?));
        }
    }
    Ok(())
}
