//! The part of the ledger that a batch needs: locked, then read.

use std::collections::{BTreeSet, HashMap, HashSet};

use ailayer_primitives::{Digest, JobId, RequestId, UnixMs};
use ailayer_store::{StoreError, Tx};
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
    /// The database's clock, after the locks were taken.
    pub now: UnixMs,
    /// The ids in rows, with the versions as they were read.
    pub rows: HashMap<AccountId, AccountRow>,
    /// The reservations that have a row.
    pub stored_reservations: HashSet<(AccountId, RequestId)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct AccountRow {
    pub account_id: i64,
    pub version: u64,
}

pub(super) async fn load_in_tx(
    tx: &mut Tx,
    stripe: Stripe,
    submissions: &[Submission],
) -> Result<Page, StoreError> {
    let wanted: BTreeSet<AccountId> =
        submissions.iter().flat_map(|submission| submission.operation.accounts(stripe)).collect();
    let mut page = Page {
        book: Book::default(),
        now: UnixMs(0),
        rows: HashMap::new(),
        stored_reservations: HashSet::new(),
    };
    lock_accounts(tx, &mut page, &wanted).await?;
    let is_missing_house =
        |id: &&AccountId| matches!(id.holder, Holder::House(..)) && !page.rows.contains_key(*id);
    let missing: BTreeSet<AccountId> = wanted.iter().filter(is_missing_house).copied().collect();
    if !missing.is_empty() {
        // Once in the life of a sub-account.
        super::accounts::open_in_tx(tx, missing.iter().copied(), None).await?;
        lock_accounts(tx, &mut page, &missing).await?;
    }
    read_entries(tx, &mut page, submissions).await?;
    read_reservations(tx, &mut page, submissions).await?;
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
        let account = account(row, 2)?;
        page.rows.insert(id, AccountRow { account_id: row.try_get(0)?, version: account.version });
        page.book.put_account(id, account);
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

impl Page {
    /// Rows of known accounts that are named in these submissions, each once.
    fn keys<'a>(
        &self,
        submissions: &'a [Submission],
        ids: impl Fn(&'a Submission) -> Vec<RequestId>,
    ) -> (Vec<i64>, Vec<Uuid>) {
        let mut seen = HashSet::new();
        let mut keys = (Vec::new(), Vec::new());
        for submission in submissions {
            let Some(row) = self.rows.get(&submission.operation.account()) else { continue };
            for id in ids(submission) {
                if seen.insert((row.account_id, id)) {
                    keys.0.push(row.account_id);
                    keys.1.push(id.uuid());
                }
            }
        }
        keys
    }

    fn names(&self) -> HashMap<i64, AccountId> {
        self.rows.iter().map(|(id, row)| (row.account_id, *id)).collect()
    }
}

/// After the locks: whoever wrote under the same ids has committed by now, and whoever will, waits.
async fn read_entries(tx: &mut Tx, page: &mut Page, submissions: &[Submission]) -> Result<(), StoreError> {
    let (accounts, requests) = page.keys(submissions, |submission| {
        let operation = &submission.operation;
        // A reversal looks at its deposit.
        let deposit = operation.subject().filter(|_| operation.kind() == Kind::Reverse);
        std::iter::once(operation.request_id()).chain(deposit).collect()
    });
    let rows = sqlx::query(
        "select clock.now, stored.* from (select unix_ms() as now) clock left join (
            select account_id, request_id, body_digest, kind, amount_units, transaction_id, posted_unix_ms,
                balance_units, reserved_units, shortfall_units
            from unnest($1::bigint[], $2::uuid[]) as wanted (account_id, request_id)
            join ledger_transactions using (request_id, account_id)) stored on true",
    )
    .bind(accounts)
    .bind(requests)
    .fetch_all(&mut **tx)
    .await?;
    let names = page.names();
    for row in &rows {
        page.now = UnixMs(from_bigint(row.try_get(0)?, "the clock")?);
        let Some(account_id) = row.try_get::<Option<i64>, _>(1)? else { continue };
        let Some(account) = names.get(&account_id).copied() else { continue };
        page.book.put_entry(account, RequestId::new(row.try_get(2)?), stored_entry(row)?);
    }
    Ok(())
}

fn stored_entry(row: &PgRow) -> Result<StoredEntry, StoreError> {
    let body_digest: &[u8] = row.try_get(3)?;
    let kind: &str = row.try_get(4)?;
    Ok(StoredEntry {
        body_digest: Digest::try_from(body_digest).map_err(|error| corrupt("body digest")(&error))?,
        kind: kind.parse().map_err(|error| corrupt("kind")(&error))?,
        amount_units: row.try_get(5)?,
        posted: Posted {
            transaction_id: TransactionId::new(row.try_get(6)?),
            posted_at: UnixMs(from_bigint(row.try_get(7)?, "time of a transaction")?),
            balance_units: row.try_get(8)?,
            reserved_units: row.try_get(9)?,
            shortfall_units: row.try_get(10)?,
        },
    })
}

async fn read_reservations(
    tx: &mut Tx,
    page: &mut Page,
    submissions: &[Submission],
) -> Result<(), StoreError> {
    let (accounts, reservations) = page.keys(submissions, |submission| {
        let operation = &submission.operation;
        operation.subject().into_iter().filter(|_| operation.kind() != Kind::Reverse).collect()
    });
    if accounts.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(
        "select account_id, reservation_id, amount_units, captured_units, state, expires_unix_ms, job_id,
            updated_unix_ms
         from unnest($1::bigint[], $2::uuid[]) as wanted (account_id, reservation_id)
         join ledger_reservations using (account_id, reservation_id)",
    )
    .bind(accounts)
    .bind(reservations)
    .fetch_all(&mut **tx)
    .await?;
    let names = page.names();
    for row in &rows {
        let Some(account) = names.get(&row.try_get(0)?).copied() else { continue };
        let id = RequestId::new(row.try_get(1)?);
        page.stored_reservations.insert((account, id));
        page.book.put_reservation(account, id, reservation(row)?);
    }
    Ok(())
}

fn reservation(row: &PgRow) -> Result<Reservation, StoreError> {
    let state: &str = row.try_get(4)?;
    let terms = match (row.try_get::<Option<i64>, _>(5)?, row.try_get::<Option<Uuid>, _>(6)?) {
        (Some(at), None) => Terms::ExpiresAt(UnixMs(from_bigint(at, "expiry of a reservation")?)),
        (None, Some(job_id)) => Terms::HeldBy(JobId::new(job_id)),
        _ => return Err(StoreError::Corrupt("a reservation needs an expiry or a job".to_owned())),
    };
    Ok(Reservation {
        amount: Amount::try_new(row.try_get(2)?).map_err(|error| corrupt("reservation")(&error))?,
        terms,
        state: state.parse().map_err(|error| corrupt("reservation")(&error))?,
        captured_units: row.try_get(3)?,
        updated_at: UnixMs(from_bigint(row.try_get(7)?, "time of a reservation")?),
    })
}

async fn read_reversed(tx: &mut Tx, page: &mut Page, submissions: &[Submission]) -> Result<(), StoreError> {
    let (accounts, deposits) = page.keys(submissions, |submission| {
        let operation = &submission.operation;
        operation.subject().into_iter().filter(|_| operation.kind() == Kind::Reverse).collect()
    });
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
