//! What a batch has changed, in one statement that compares it first.

use ailayer_primitives::{JobId, RequestId, UnixMs};
use ailayer_store::{StoreError, Tx};
use sqlx::Row as _;
use uuid::Uuid;

use super::locked::{AccountRow, Page};
use crate::domain::ledger::{Account, AccountId, Entry, Kind, Reservation, Terms};
use crate::store::{from_bigint, to_bigint};

/// The accounts first, in the order of their ids: each is locked, compared with what was decided on, and moved. Unless all of
/// them are as they were, nothing else is written, and nothing else is waited for. Then new rows of one table each, and the
/// reservations that end.
///
/// Everything sees the tables as they were before: a reservation that begins and ends within the batch is therefore inserted
/// as it ends. No time is below the clock's, which is the one that was decided by, or, where that was none, the one that is
/// read here. Reservations are looked up one by one, then found where they lie: under the accounts' locks they do not move,
/// and no kept plan reads them all.
const WRITE: &str = "with
    clock as materialized (select coalesce($45::bigint, unix_ms()) as now),
    moved as (
        update ledger_accounts account
        set balance_units = new.balance_units, reserved_units = new.reserved_units, limit_units = new.limit_units,
            frozen = new.frozen, version = new.version, updated_unix_ms = greatest(new.updated_unix_ms, clock.now)
        from clock cross join unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[],
                $7::bigint[], $8::bigint[], $9::bigint[], $10::boolean[], $11::bigint[], $12::bigint[])
            as new (account_id, was_version, was_balance_units, was_reserved_units, was_limit_units, was_frozen,
                balance_units, reserved_units, limit_units, frozen, version, updated_unix_ms)
        where account.account_id = new.account_id and account.version = new.was_version
            and account.balance_units = new.was_balance_units and account.reserved_units = new.was_reserved_units
            and account.limit_units is not distinct from new.was_limit_units and account.frozen = new.was_frozen
        returning 1),
    gate as materialized (select from (select count(*) as moved from moved) it where moved = cardinality($1)),
    headers as (
        insert into ledger_transactions (transaction_id, account_id, request_id, subject_id, kind, amount_units,
            body_digest, balance_units, reserved_units, shortfall_units, posted_unix_ms, note)
        select new.transaction_id, new.account_id, new.request_id, new.subject_id, new.kind, new.amount_units,
            new.body_digest, new.balance_units, new.reserved_units, new.shortfall_units, greatest(new.time, clock.now),
            new.note
        from gate, clock, unnest($13::uuid[], $14::bigint[], $15::uuid[], $16::uuid[], $17::text[], $18::bigint[],
                $19::bytea[], $20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[], $24::text[])
            as new (transaction_id, account_id, request_id, subject_id, kind, amount_units, body_digest, balance_units,
                reserved_units, shortfall_units, time, note)),
    lines as (
        insert into ledger_lines (account_id, account_version, transaction_id, line, amount_units, balance_units,
            posted_unix_ms)
        select new.account_id, new.version, new.transaction_id, new.line, new.amount_units, new.balance_units,
            greatest(new.time, clock.now)
        from gate, clock, unnest($25::bigint[], $26::bigint[], $27::uuid[], $28::smallint[], $29::bigint[],
                $30::bigint[], $31::bigint[])
            as new (account_id, version, transaction_id, line, amount_units, balance_units, time)),
    reserved as (
        insert into ledger_reservations (account_id, reservation_id, amount_units, captured_units, state,
            expires_unix_ms, job_id, updated_unix_ms)
        select new.account_id, new.reservation_id, new.amount_units, new.captured_units, new.state, new.expiry,
            new.job_id, greatest(new.time, clock.now)
        from gate, clock, unnest($32::bigint[], $33::uuid[], $34::bigint[], $35::bigint[], $36::text[], $37::bigint[],
                $38::uuid[], $39::bigint[])
            as new (account_id, reservation_id, amount_units, captured_units, state, expiry, job_id, time)),
    ended as (
        update ledger_reservations reservation
        set captured_units = new.captured_units, state = new.state,
            updated_unix_ms = greatest(new.updated_unix_ms, clock.now)
        from gate cross join clock cross join unnest($40::bigint[], $41::uuid[], $42::bigint[], $43::text[], $44::bigint[])
                as new (account_id, reservation_id, captured_units, state, updated_unix_ms)
            cross join lateral (select stored.ctid from ledger_reservations stored
                where stored.account_id = new.account_id and stored.reservation_id = new.reservation_id
                    and stored.state = 'PENDING' limit 1) found
        where reservation.ctid = found.ctid
        returning 1)
    select exists (select from gate), (select count(*) from ended), (select now from clock)";

/// Answers the clock by which the rows were written, if the accounts and reservations were as the page has them. If not, only a
/// rollback is right.
pub(super) async fn write_in_tx(tx: &mut Tx, page: &Page) -> Result<Option<UnixMs>, StoreError> {
    let (headers, lines) = (Headers::of(page)?, Lines::of(page)?);
    let (reserved, ended) = Reservations::of(page)?;
    let expected = ended.account_ids.len();
    let query = Accounts::of(page).bind(sqlx::query(WRITE));
    let query = ended.bind_ended(reserved.bind_new(lines.bind(headers.bind(query))));
    let row = query.bind(page.now.map(|now| to_bigint(now.0))).fetch_one(&mut **tx).await?;
    let all_moved: bool = row.try_get(0)?;
    let ended = usize::try_from(row.try_get::<i64, _>(1)?).unwrap_or(usize::MAX);
    let now = UnixMs(from_bigint(row.try_get(2)?, "the clock")?);
    Ok((all_moved && ended == expected).then_some(now))
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn row_id(page: &Page, id: AccountId) -> Result<i64, StoreError> {
    let row = page.rows.get(&id).map(|row| row.account_id);
    row.ok_or_else(|| StoreError::Corrupt(format!("{id} was moved without being locked")))
}

#[derive(Default)]
struct Headers {
    transaction_ids: Vec<Uuid>,
    account_ids: Vec<i64>,
    request_ids: Vec<Uuid>,
    subject_ids: Vec<Option<Uuid>>,
    kinds: Vec<&'static str>,
    amounts: Vec<i64>,
    body_digests: Vec<Vec<u8>>,
    balances: Vec<i64>,
    reserved: Vec<i64>,
    shortfalls: Vec<i64>,
    times: Vec<i64>,
    notes: Vec<String>,
}

impl Headers {
    fn of(page: &Page) -> Result<Self, StoreError> {
        let mut headers = Self::default();
        for entry in page.book.journal() {
            let Entry { stored, .. } = entry;
            headers.transaction_ids.push(stored.posted.transaction_id.uuid());
            headers.account_ids.push(row_id(page, entry.account)?);
            headers.request_ids.push(entry.request_id.uuid());
            headers.subject_ids.push(entry.subject.map(RequestId::uuid));
            headers.kinds.push(stored.kind.as_str());
            headers.amounts.push(stored.amount_units);
            headers.body_digests.push(stored.body_digest.to_vec());
            headers.balances.push(stored.posted.balance_units);
            headers.reserved.push(stored.posted.reserved_units);
            headers.shortfalls.push(stored.posted.shortfall_units);
            headers.times.push(to_bigint(stored.posted.posted_at.0));
            headers.notes.push(entry.note.as_str().to_owned());
        }
        Ok(headers)
    }

    fn bind(self, query: Query<'_>) -> Query<'_> {
        query
            .bind(self.transaction_ids)
            .bind(self.account_ids)
            .bind(self.request_ids)
            .bind(self.subject_ids)
            .bind(self.kinds)
            .bind(self.amounts)
            .bind(self.body_digests)
            .bind(self.balances)
            .bind(self.reserved)
            .bind(self.shortfalls)
            .bind(self.times)
            .bind(self.notes)
    }
}

#[derive(Default)]
struct Lines {
    account_ids: Vec<i64>,
    versions: Vec<i64>,
    transaction_ids: Vec<Uuid>,
    lines: Vec<i16>,
    amounts: Vec<i64>,
    balances: Vec<i64>,
    times: Vec<i64>,
}

impl Lines {
    fn of(page: &Page) -> Result<Self, StoreError> {
        let mut lines = Self::default();
        for entry in page.book.journal() {
            for (number, line) in (0i16..).zip(&entry.lines) {
                lines.account_ids.push(row_id(page, line.account)?);
                lines.versions.push(to_bigint(line.version));
                lines.transaction_ids.push(entry.stored.posted.transaction_id.uuid());
                lines.lines.push(number);
                lines.amounts.push(line.amount_units);
                lines.balances.push(line.balance_units);
                lines.times.push(to_bigint(entry.stored.posted.posted_at.0));
            }
        }
        Ok(lines)
    }

    fn bind(self, query: Query<'_>) -> Query<'_> {
        query
            .bind(self.account_ids)
            .bind(self.versions)
            .bind(self.transaction_ids)
            .bind(self.lines)
            .bind(self.amounts)
            .bind(self.balances)
            .bind(self.times)
    }
}

#[derive(Default)]
struct Reservations {
    account_ids: Vec<i64>,
    reservation_ids: Vec<Uuid>,
    amounts: Vec<i64>,
    captured: Vec<i64>,
    states: Vec<&'static str>,
    expiries: Vec<Option<i64>>,
    job_ids: Vec<Option<Uuid>>,
    times: Vec<i64>,
}

impl Reservations {
    /// Those without a row yet, and those that end.
    fn of(page: &Page) -> Result<(Self, Self), StoreError> {
        let (mut new, mut ended) = (Self::default(), Self::default());
        let mut seen = std::collections::HashSet::new();
        for entry in page.book.journal() {
            let id = match (entry.stored.kind, entry.subject) {
                (Kind::Reserve, _) => entry.request_id,
                (Kind::Capture | Kind::Void | Kind::Expire, Some(id)) => id,
                _ => continue,
            };
            let Some(reservation) = page.book.reservation(entry.account, id) else { continue };
            if seen.insert((entry.account, id)) {
                let is_stored = page.stored_reservations.contains(&(entry.account, id));
                let rows = if is_stored { &mut ended } else { &mut new };
                rows.push(row_id(page, entry.account)?, id, reservation);
            }
        }
        Ok((new, ended))
    }

    fn push(&mut self, account_id: i64, id: RequestId, reservation: &Reservation) {
        let (expiry, job_id) = match reservation.terms {
            Terms::ExpiresAt(at) => (Some(to_bigint(at.0)), None),
            Terms::HeldBy(job_id) => (None, Some(JobId::uuid(job_id))),
        };
        self.account_ids.push(account_id);
        self.reservation_ids.push(id.uuid());
        self.amounts.push(reservation.amount.units());
        self.captured.push(reservation.captured_units);
        self.states.push(reservation.state.as_str());
        self.expiries.push(expiry);
        self.job_ids.push(job_id);
        self.times.push(to_bigint(reservation.updated_at.0));
    }

    fn bind_new(self, query: Query<'_>) -> Query<'_> {
        query
            .bind(self.account_ids)
            .bind(self.reservation_ids)
            .bind(self.amounts)
            .bind(self.captured)
            .bind(self.states)
            .bind(self.expiries)
            .bind(self.job_ids)
            .bind(self.times)
    }

    fn bind_ended(self, query: Query<'_>) -> Query<'_> {
        query
            .bind(self.account_ids)
            .bind(self.reservation_ids)
            .bind(self.captured)
            .bind(self.states)
            .bind(self.times)
    }
}

/// What an account holds, in columns.
#[derive(Default)]
struct Holdings {
    versions: Vec<i64>,
    balances: Vec<i64>,
    reserved: Vec<i64>,
    limits: Vec<Option<i64>>,
    frozen: Vec<bool>,
}

impl Holdings {
    fn push(&mut self, account: &Account) {
        self.versions.push(to_bigint(account.version));
        self.balances.push(account.balance_units);
        self.reserved.push(account.reserved_units);
        self.limits.push(account.limit_units);
        self.frozen.push(account.frozen);
    }
}

/// The accounts that move, in the order in which everybody locks them.
#[derive(Default)]
struct Accounts {
    account_ids: Vec<i64>,
    was: Holdings,
    new: Holdings,
    times: Vec<i64>,
}

impl Accounts {
    fn of(page: &Page) -> Self {
        let moved = page.rows.iter().filter_map(|(id, row)| {
            page.book.account(*id).filter(|account| account.version != row.was.version).map(|new| (row, new))
        });
        let mut moved: Vec<(&AccountRow, &Account)> = moved.collect();
        moved.sort_unstable_by_key(|(row, _)| row.account_id);
        let mut accounts = Self::default();
        for (row, new) in moved {
            accounts.account_ids.push(row.account_id);
            accounts.was.push(&row.was);
            accounts.new.push(new);
            accounts.times.push(to_bigint(new.updated_at.0));
        }
        accounts
    }

    fn bind(self, query: Query<'_>) -> Query<'_> {
        query
            .bind(self.account_ids)
            .bind(self.was.versions)
            .bind(self.was.balances)
            .bind(self.was.reserved)
            .bind(self.was.limits)
            .bind(self.was.frozen)
            .bind(self.new.balances)
            .bind(self.new.reserved)
            .bind(self.new.limits)
            .bind(self.new.frozen)
            .bind(self.new.versions)
            .bind(self.times)
    }
}
