-- The ledger. A line is positive for a debit and negative for a credit; the lines of a transaction sum to zero for each
-- asset. Amounts are in the smallest unit of the account's asset: millisatoshi for bitcoin.
--
-- Checks run once a statement over all its rows, because a row-wise one would cost more than the insert itself. They are
-- not deferred, and need not be: header and lines of a transaction come in one statement.

create table ledger_accounts (
    account_id      bigint   generated always as identity primary key,
    -- <kind>/<customer or stripe>/<asset>
    code            text     collate "C" not null constraint ledger_accounts_code unique,
    kind            text     not null check (kind in ('liability:customer', 'asset:receivable', 'asset:lightning',
                                 'asset:on_chain', 'asset:liquid', 'revenue:inference', 'expense:fees',
                                 'liability:suspense', 'expense:channel_loss', 'expense:write_off')),
    asset           text     not null,
    customer_id     uuid,
    -- The side it grows on: 1 debit, -1 credit. The balance is this times the sum of the lines.
    side            smallint not null check (side in (1, -1)),
    balance_units   bigint   not null default 0,
    -- Set aside by pending reservations.
    reserved_units  bigint   not null default 0 check (reserved_units >= 0),
    limit_units     bigint,
    frozen          boolean  not null default false,
    -- Counts the operations that touched it.
    version         bigint   not null default 0 check (version >= 0),
    opened_unix_ms  bigint   not null,
    updated_unix_ms bigint   not null,

    constraint ledger_accounts_limit check (balance_units - reserved_units >= limit_units),
    check ((kind in ('liability:customer', 'asset:receivable')) = (customer_id is not null)),
    check ((kind = 'liability:customer') = (limit_units is not null)),
    check (kind = 'liability:customer' or (reserved_units = 0 and not frozen))
) with (fillfactor = 60);
create index ledger_accounts_customer on ledger_accounts (customer_id) where customer_id is not null;

-- One row for everything that was ever applied: a request id has the same effect for ever.
create table ledger_transactions (
    transaction_id  uuid   primary key,
    account_id      bigint not null,
    request_id      uuid   not null,
    -- The earlier request it is about: a reservation or a deposit.
    subject_id      uuid,
    kind            text   not null check (kind in ('credit', 'debit', 'reserve', 'capture', 'void', 'expire', 'reverse',
                               'adjust', 'post', 'freeze', 'unfreeze', 'set_limit')),
    amount_units    bigint not null,
    body_digest     bytea  not null check (octet_length(body_digest) = 32),
    -- The answer, for repeats.
    balance_units   bigint not null,
    reserved_units  bigint not null,
    shortfall_units bigint not null check (shortfall_units >= 0),
    posted_unix_ms  bigint not null,
    note            text   not null,
    -- Readers of the whole list stop below the oldest running database transaction: see store/ledger/transactions.rs.
    xact            xid8   not null default pg_current_xact_id(),

    constraint ledger_transactions_request unique (request_id, account_id)
);
create index ledger_transactions_order on ledger_transactions (xact, transaction_id);
create unique index ledger_transactions_reversed on ledger_transactions (account_id, subject_id) where kind = 'reverse';

create table ledger_lines (
    account_id      bigint   not null,
    -- The account's version behind the line. Assigned under the account's lock, so that its order is the order of commits.
    account_version bigint   not null check (account_version > 0),
    transaction_id  uuid     not null,
    line            smallint not null,
    amount_units    bigint   not null check (amount_units <> 0),
    -- The account's balance behind the line.
    balance_units   bigint   not null,
    posted_unix_ms  bigint   not null,
    primary key (account_id, account_version),
    constraint ledger_lines_transaction unique (transaction_id, line)
);

-- The version of the account's first line at or behind a time: a search in halves, since versions and times rise together.
create function ledger_version_at(account bigint, at_unix_ms bigint) returns bigint language plpgsql stable
    set enable_seqscan = off as $$
declare
    low    bigint := 1;
    high   bigint;
    middle bigint;
    found_version bigint;
    found_time    bigint;
begin
    select version + 1 into high from ledger_accounts where account_id = account;
    while low < high loop
        middle := low + (high - low) / 2;
        select account_version, posted_unix_ms into found_version, found_time from ledger_lines
            where account_id = account and account_version >= middle order by account_version limit 1;
        if not found or found_time >= at_unix_ms then
            high := middle;
        else
            low := found_version + 1;
        end if;
    end loop;
    return low;
end $$;

-- PENDING -> POSTED | VOIDED | EXPIRED, named by the request that reserved.
create table ledger_reservations (
    account_id      bigint not null,
    reservation_id  uuid   not null,
    amount_units    bigint not null check (amount_units > 0),
    captured_units  bigint not null check (captured_units between 0 and amount_units),
    state           text   not null check (state in ('PENDING', 'POSTED', 'VOIDED', 'EXPIRED')),
    -- Freed by time, or by the transitions of a job and nothing else.
    expires_unix_ms bigint,
    job_id          uuid,
    updated_unix_ms bigint not null,
    primary key (account_id, reservation_id),
    check ((expires_unix_ms is null) <> (job_id is null)),
    check ((state = 'POSTED') = (captured_units > 0)),
    check (state <> 'EXPIRED' or job_id is null)
);
create index ledger_reservations_expiry on ledger_reservations (expires_unix_ms)
    where state = 'PENDING' and expires_unix_ms is not null;

create function ledger_broken(what text) returns void language plpgsql as $$
begin
    raise exception 'ledger: %', what using errcode = 'check_violation', constraint = 'ledger_balance';
end $$;

-- Every transaction in the statement is whole and sums to zero for each asset, and its accounts carry its lines. That line 0
-- must be among the rows makes the unique key refuse a second statement for the same transaction.
create function check_ledger_lines() returns trigger language plpgsql
    -- The plan is kept from the first call, when the tables are empty: never one that reads them whole. Compiling it would
    -- take longer than a batch.
    set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
    if exists (select from new_lines group by transaction_id
               having count(*) < 2 or min(line) <> 0 or max(line) <> count(*) - 1) then
        perform ledger_broken('a transaction comes with all its lines, two at least');
    end if;
    if exists (select from new_lines left join ledger_accounts using (account_id)
               group by transaction_id, asset having sum(amount_units) <> 0 or asset is null) then
        perform ledger_broken('a transaction does not sum to zero');
    end if;
    if exists (select from new_lines where line = 0 and not exists (
                   select from ledger_transactions header where header.transaction_id = new_lines.transaction_id)) then
        perform ledger_broken('lines without their transaction');
    end if;
    if exists (select from (select distinct on (account_id) account_id, account_version, balance_units from new_lines
                            order by account_id, account_version desc) last
               join ledger_accounts account using (account_id)
               where account.version < last.account_version or account.balance_units <> last.balance_units) then
        perform ledger_broken('an account does not carry its last line');
    end if;
    return null;
end $$;
create trigger ledger_lines_balance after insert on ledger_lines
    referencing new table as new_lines for each statement execute function check_ledger_lines();

create function check_ledger_transactions() returns trigger language plpgsql set enable_seqscan = off set jit = off as $$
begin
    if exists (select from new_transactions header
               where (kind in ('credit', 'debit', 'capture', 'reverse', 'adjust', 'post')) <> exists (
                   select from ledger_lines where transaction_id = header.transaction_id and line = 0)) then
        perform ledger_broken('a transaction without lines, or lines that move nothing');
    end if;
    if exists (select from new_transactions header
               where not exists (select from ledger_accounts where account_id = header.account_id)) then
        perform ledger_broken('a transaction without its account');
    end if;
    return null;
end $$;
create trigger ledger_transactions_lines after insert on ledger_transactions
    referencing new table as new_transactions for each statement execute function check_ledger_transactions();

-- No balance without the line that explains it.
create function check_ledger_accounts() returns trigger language plpgsql set enable_seqscan = off set jit = off as $$
begin
    if exists (select from new_accounts account where balance_units <> coalesce((
                   select balance_units from ledger_lines where account_id = account.account_id
                   order by account_version desc limit 1), 0)) then
        perform ledger_broken('a balance without its line');
    end if;
    return null;
end $$;
create trigger ledger_accounts_opened after insert on ledger_accounts
    referencing new table as new_accounts for each statement execute function check_ledger_accounts();
create trigger ledger_accounts_moved after update on ledger_accounts
    referencing new table as new_accounts for each statement execute function check_ledger_accounts();

-- What is posted stays: corrections are new transactions.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'check_violation', constraint = 'append_only';
end $$;
create trigger ledger_transactions_append_only before update or delete or truncate on ledger_transactions
    for each statement execute function refuse_change();
create trigger ledger_lines_append_only before update or delete or truncate on ledger_lines
    for each statement execute function refuse_change();
create trigger ledger_accounts_stay before delete or truncate on ledger_accounts
    for each statement execute function refuse_change();
create trigger ledger_accounts_keep_their_name before update on ledger_accounts
    for each row when ((old.code, old.kind, old.asset, old.side) is distinct from (new.code, new.kind, new.asset, new.side)
        or old.customer_id is distinct from new.customer_id or new.version < old.version)
    execute function refuse_change();
create trigger ledger_reservations_stay before delete or truncate on ledger_reservations
    for each statement execute function refuse_change();
create trigger ledger_reservations_end_once before update on ledger_reservations
    for each row when (old.state <> 'PENDING' or (old.amount_units, old.account_id, old.reservation_id)
        is distinct from (new.amount_units, new.account_id, new.reservation_id))
    execute function refuse_change();
create trigger job_events_append_only before update or delete on job_events
    for each statement execute function refuse_change();
