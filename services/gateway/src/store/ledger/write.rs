//! What a batch has changed, in one statement that compares it first.

use ailayer_primitives::{JobId, RequestId, UnixMs};
use ailayer_store::StoreError;
use foldhash::HashSet;
use sqlx::{PgConnection, Row as _};

use super::locked::{AccountRow, Page};
use crate::domain::ledger::{Account, AccountId, Kind, Posted, PostedLine, Terms};
use crate::store::{from_bigint, to_bigint};

/// The accounts first, in the order of their ids: each is locked, compared with what was decided on, and moved. Unless all of
/// them are as they were, nothing else is written, and nothing else is waited for. Then the reservations that end, and new rows
/// of one table each. If anything is not as it was decided on, the statement is refused under the name [`MOVED`].
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
        from clock cross join (select unnest($1::bigint[]) as account_id,
                unnest($2::bigint[]) as was_version, unnest($3::bigint[]) as was_balance_units,
                unnest($4::bigint[]) as was_reserved_units, unnest($5::bigint[]) as was_limit_units,
                unnest($6::boolean[]) as was_frozen,
                unnest($7::bigint[]) as balance_units, unnest($8::bigint[]) as reserved_units,
                unnest($9::bigint[]) as limit_units, unnest($10::boolean[]) as frozen, unnest($11::bigint[]) as version,
                unnest($12::bigint[]) as updated_unix_ms) new
        where account.account_id = new.account_id and account.version = new.was_version
            and account.balance_units = new.was_balance_units and account.reserved_units = new.was_reserved_units
            and account.limit_units is not distinct from new.was_limit_units and account.frozen = new.was_frozen
        returning 1),
    gate as materialized (select now from clock where (select count(*) from moved) = cardinality($1)),
    headers as (
        insert into ledger_transactions (transaction_id, account_id, request_id, subject_id, kind, amount_units,
            body_digest, balance_units, reserved_units, shortfall_units, posted_unix_ms, note)
        select unnest($13::uuid[]), unnest($14::bigint[]), unnest($15::uuid[]), unnest($16::uuid[]), unnest($17::text[]),
            unnest($18::bigint[]), unnest($19::bytea[]), unnest($20::bigint[]), unnest($21::bigint[]),
            unnest($22::bigint[]), greatest(unnest($23::bigint[]), now), unnest($24::text[])
        from gate),
    lines as (
        insert into ledger_lines (account_id, account_version, transaction_id, line, amount_units, balance_units,
            posted_unix_ms)
        select unnest($25::bigint[]), unnest($26::bigint[]), unnest($27::uuid[]), unnest($28::smallint[]),
            unnest($29::bigint[]), unnest($30::bigint[]), greatest(unnest($31::bigint[]), now)
        from gate),
    reserved as (
        insert into ledger_reservations (account_id, reservation_id, amount_units, captured_units, state,
            expires_unix_ms, job_id, updated_unix_ms)
        select unnest($32::bigint[]), unnest($33::uuid[]), unnest($34::bigint[]), unnest($35::bigint[]),
            unnest($36::text[]), unnest($37::bigint[]), unnest($38::uuid[]), greatest(unnest($39::bigint[]), now)
        from gate),
    ended as (
        update ledger_reservations reservation
        set captured_units = new.captured_units, state = new.state,
            updated_unix_ms = greatest(new.updated_unix_ms, gate.now)
        from gate cross join (select unnest($40::bigint[]) as account_id, unnest($41::uuid[]) as reservation_id,
                unnest($42::bigint[]) as captured_units, unnest($43::text[]) as state,
                unnest($44::bigint[]) as updated_unix_ms) new
            cross join lateral (select stored.ctid from ledger_reservations stored
                where stored.account_id = new.account_id and stored.reservation_id = new.reservation_id
                    and stored.state = 'PENDING' limit 1) found
        where reservation.ctid = found.ctid
        returning 1)
    select coalesce((select now from gate where (select count(*) from ended) = cardinality($40)), refuse_moved_ledger())";

/// What refuses a write whose accounts or reservations are not as the page has them.
pub(super) const MOVED: &str = "ledger_moved";

/// Writes what the page has decided and answers the clock by which it was written. Outside a transaction it is one, and has
/// happened when this returns.
///
/// # Errors
/// `Violation` of [`MOVED`] when rows are not as the page has them, `Conflict` when a request id is known after all. Of an error
/// that is no [refusal](StoreError::is_refusal) it is not known outside a transaction whether it was written.
pub(super) async fn write(conn: &mut PgConnection, page: &Page) -> Result<UnixMs, StoreError> {
    let query = bind_accounts(sqlx::query(WRITE), page);
    let query = bind_lines(bind_headers(query, page)?, page)?;
    let query = bind_reservations(query, page)?.bind(page.now.map(|now| to_bigint(now.0)));
    // To the end of the answer, and not to its first row: what is a transaction of its own is committed behind that.
    let rows = query.fetch_all(conn).await?;
    let row = rows.first().ok_or_else(|| StoreError::Corrupt("a write without an answer".to_owned()))?;
    Ok(UnixMs(from_bigint(row.try_get(0)?, "the clock")?))
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// One value of each row.
fn column<Row, Value>(rows: &[Row], value: impl FnMut(&Row) -> Value) -> Vec<Value> {
    rows.iter().map(value).collect()
}

fn row_id(page: &Page, id: AccountId) -> Result<i64, StoreError> {
    let row = page.rows.get(&id).map(|row| row.account_id);
    row.ok_or_else(|| StoreError::Corrupt(format!("{id} was moved without being locked")))
}

/// Those that move, in the order in which everybody locks them.
fn bind_accounts(query: Query, page: &Page) -> Query {
    let moved = page.rows.iter().filter_map(|(id, row)| {
        page.book.account(*id).filter(|account| account.version != row.was.version).map(|new| (row, new))
    });
    let mut moved: Vec<(&AccountRow, &Account)> = moved.collect();
    moved.sort_unstable_by_key(|(row, _)| row.account_id);
    query
        .bind(column(&moved, |(row, _)| row.account_id))
        .bind(column(&moved, |(row, _)| to_bigint(row.was.version)))
        .bind(column(&moved, |(row, _)| row.was.balance_units))
        .bind(column(&moved, |(row, _)| row.was.reserved_units))
        .bind(column(&moved, |(row, _)| row.was.limit_units))
        .bind(column(&moved, |(row, _)| row.was.frozen))
        .bind(column(&moved, |(_, new)| new.balance_units))
        .bind(column(&moved, |(_, new)| new.reserved_units))
        .bind(column(&moved, |(_, new)| new.limit_units))
        .bind(column(&moved, |(_, new)| new.frozen))
        .bind(column(&moved, |(_, new)| to_bigint(new.version)))
        .bind(column(&moved, |(_, new)| to_bigint(new.updated_at.0)))
}

fn bind_headers(query: Query, page: &Page) -> Result<Query, StoreError> {
    let entries = page.book.journal();
    let account_ids: Vec<i64> =
        entries.iter().map(|entry| row_id(page, entry.account)).collect::<Result<_, _>>()?;
    Ok(query
        .bind(column(entries, |entry| entry.stored.posted.transaction_id.uuid()))
        .bind(account_ids)
        .bind(column(entries, |entry| entry.request_id.uuid()))
        .bind(column(entries, |entry| entry.subject.map(RequestId::uuid)))
        .bind(column(entries, |entry| entry.stored.kind.as_str()))
        .bind(column(entries, |entry| entry.stored.amount_units))
        .bind(
            entries
                .iter()
                .map(|entry| entry.stored.body_digest.as_bytes().as_slice())
                .collect::<Vec<&[u8]>>(),
        )
        .bind(column(entries, |entry| entry.stored.posted.balance_units))
        .bind(column(entries, |entry| entry.stored.posted.reserved_units))
        .bind(column(entries, |entry| entry.stored.posted.shortfall_units))
        .bind(column(entries, |entry| to_bigint(entry.stored.posted.posted_at.0)))
        .bind(entries.iter().map(|entry| entry.note.as_str()).collect::<Vec<&str>>()))
}

fn bind_lines(query: Query, page: &Page) -> Result<Query, StoreError> {
    let mut lines: Vec<(i64, i16, &PostedLine, &Posted)> = Vec::new();
    for entry in page.book.journal() {
        for (number, line) in (0i16..).zip(&entry.lines) {
            lines.push((row_id(page, line.account)?, number, line, &entry.stored.posted));
        }
    }
    Ok(query
        .bind(column(&lines, |(account_id, ..)| *account_id))
        .bind(column(&lines, |(_, _, line, _)| to_bigint(line.version)))
        .bind(column(&lines, |(.., posted)| posted.transaction_id.uuid()))
        .bind(column(&lines, |(_, number, ..)| *number))
        .bind(column(&lines, |(_, _, line, _)| line.amount_units))
        .bind(column(&lines, |(_, _, line, _)| line.balance_units))
        .bind(column(&lines, |(.., posted)| to_bigint(posted.posted_at.0))))
}

/// Those without a row yet, and those that end.
fn bind_reservations(query: Query, page: &Page) -> Result<Query, StoreError> {
    let (mut new, mut ended) = (Vec::new(), Vec::new());
    let mut seen: HashSet<(AccountId, RequestId)> = HashSet::default();
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
            rows.push((row_id(page, entry.account)?, id.uuid(), reservation));
        }
    }
    let expiry = |terms| match terms {
        Terms::ExpiresAt(at) => Some(to_bigint(at.0)),
        Terms::HeldBy(_) => None,
    };
    let job_id = |terms| match terms {
        Terms::ExpiresAt(_) => None,
        Terms::HeldBy(job_id) => Some(JobId::uuid(job_id)),
    };
    Ok(query
        .bind(column(&new, |(account_id, ..)| *account_id))
        .bind(column(&new, |(_, id, _)| *id))
        .bind(column(&new, |(.., reservation)| reservation.amount.units()))
        .bind(column(&new, |(.., reservation)| reservation.captured_units))
        .bind(column(&new, |(.., reservation)| reservation.state.as_str()))
        .bind(column(&new, |(.., reservation)| expiry(reservation.terms)))
        .bind(column(&new, |(.., reservation)| job_id(reservation.terms)))
        .bind(column(&new, |(.., reservation)| to_bigint(reservation.updated_at.0)))
        .bind(column(&ended, |(account_id, ..)| *account_id))
        .bind(column(&ended, |(_, id, _)| *id))
        .bind(column(&ended, |(.., reservation)| reservation.captured_units))
        .bind(column(&ended, |(.., reservation)| reservation.state.as_str()))
        .bind(column(&ended, |(.., reservation)| to_bigint(reservation.updated_at.0))))
}
