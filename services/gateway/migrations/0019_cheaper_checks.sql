-- The same checks as in 0014 and 0018 at two thirds of the cost. What a check costs is, for a batch of a few operations, the
-- starting of its query: so each is one query of as few steps as it takes, which brings the number of the first rule that is broken.
-- Rows of tables are looked up one by one, by their keys and up to the first, which leaves no other plan. A setting of a function costs
-- with every call; whoever writes to the ledger has compiling of plans off already.

create function rule_of(broken smallint, variadic rules text[]) returns text language sql immutable
    return rules[broken];

-- New: a transaction is kept in one asset. What changes one asset for another is two transactions.
create or replace function check_ledger_lines() returns trigger language plpgsql set enable_seqscan = off as $$
declare
    broken smallint;
begin
    select min(case when not is_whole then 1::smallint when not is_balanced then 2::smallint else wrong end) into broken
    from (select posted.transaction_id,
              -- Lines of a transaction differ, by their key.
              count(*) > 1 and max(posted.line) = count(*) - 1 as is_whole,
              sum(posted.amount_units) = 0 and min(account.asset collate "C") = max(account.asset collate "C") as is_balanced,
              min(case
                  when posted.line < 0 then 1::smallint
                  when account.version is null then 2::smallint
                  when posted.line = 0 and header.transaction_id is null then 3::smallint
                  when account.version < posted.account_version
                      or (later_version is null and account.balance_units <> posted.balance_units) then 4::smallint
              end) as wrong
          from (select *, lead(account_version) over (partition by account_id order by account_version) as later_version
                from new_lines) posted
          left join lateral (select asset, version, balance_units from ledger_accounts
              where account_id = posted.account_id limit 1) account on true
          left join lateral (select transaction_id from ledger_transactions
              where transaction_id = case when posted.line = 0 then posted.transaction_id end
                  and kind in ('credit', 'debit', 'capture', 'reverse', 'adjust', 'post') limit 1) header on true
          group by posted.transaction_id) by_transaction;
    if broken is not null then
        perform ledger_broken(rule_of(broken,
            'a transaction comes with all its lines, two at least',
            'a transaction does not sum to zero, in one asset',
            'lines without their transaction, or lines that move nothing',
            'an account does not carry its last line'));
    end if;
    return null;
end $$;

-- The account of a transaction is looked for where its first line, whose account was, does not name it.
create or replace function check_ledger_transactions() returns trigger language plpgsql set enable_seqscan = off as $$
declare
    broken smallint;
begin
    select min(case
        when not (header.moves or header.kind in ('reserve', 'void', 'expire', 'freeze', 'unfreeze', 'set_limit'))
            or octet_length(header.body_digest) <> 32 or header.shortfall_units < 0 then 1::smallint
        when header.moves and first.account_id is null then 2::smallint
        when first.account_id is distinct from header.account_id and account.account_id is null then 3::smallint
    end) into broken
    from (select transaction_id, account_id, kind, body_digest, shortfall_units,
              kind in ('credit', 'debit', 'capture', 'reverse', 'adjust', 'post') as moves
          from new_transactions) header
    left join lateral (select account_id from ledger_lines
        where transaction_id = case when header.moves then header.transaction_id end and line = 0 limit 1) first on true
    left join lateral (select account_id from ledger_accounts
        where account_id = case when first.account_id is distinct from header.account_id then header.account_id end
        limit 1) account on true;
    if broken is not null then
        perform ledger_broken(rule_of(broken,
            'a transaction of no known kind, or with an impossible digest or shortfall',
            'a transaction without lines',
            'a transaction without its account'));
    end if;
    return null;
end $$;

-- Only the join of what was with what is may be by hash: it grows with the batch, and both sides are small.
create or replace function check_ledger_balances() returns trigger language plpgsql
    set enable_seqscan = off set enable_hashjoin = on set enable_nestloop = off as $$
declare
    broken smallint;
begin
    select min(case
        when not is_sound_ledger_account(account.kind, account.side, account.customer_id, account.limit_units,
            account.balance_units, account.reserved_units, account.frozen, account.version) then 1::smallint
        when (account.code = earlier.code and account.kind = earlier.kind and account.asset = earlier.asset
                and account.side = earlier.side and account.customer_id is not distinct from earlier.customer_id
                and account.version >= earlier.version) is not true then 2::smallint
        when account.balance_units <> earlier.balance_units and account.balance_units <> coalesce((
                select balance_units from ledger_lines where account_id = account.account_id
                order by account_version desc limit 1), 0) then 3::smallint
        when account.version = earlier.version then 4::smallint
    end) into broken
    from new_accounts account left join old_accounts earlier using (account_id);
    if broken is not null then
        perform ledger_broken(rule_of(broken,
            'an account below its limit, or of no known kind',
            'an account keeps its name and never goes back',
            'a balance without its line',
            'an account that moved without a new version'));
    end if;
    return null;
end $$;

-- A job's reservation that ends stays where it is: no index names its state, so that its row moves in none of them. The rules of all
-- are one. This rewrites the table, once.
do $$
declare
    name text;
begin
    for name in select conname from pg_constraint where contype = 'c' and conrelid = 'ledger_reservations'::regclass loop
        execute format('alter table ledger_reservations drop constraint %I', name);
    end loop;
end $$;
drop index ledger_reservations_expiry;
alter table ledger_reservations
    -- When time frees it, if it is still there to be freed.
    add due_unix_ms bigint generated always as (case when state = 'PENDING' then expires_unix_ms end) stored,
    add constraint ledger_reservations_sound check (
        amount_units > 0 and (expires_unix_ms is null) <> (job_id is null)
        and case state
            when 'PENDING' then captured_units = 0
            when 'POSTED' then captured_units > 0 and captured_units <= amount_units
            when 'VOIDED' then captured_units = 0
            when 'EXPIRED' then captured_units = 0 and job_id is null
            else false end),
    set (fillfactor = 60);
create index ledger_reservations_due on ledger_reservations (due_unix_ms) where due_unix_ms is not null;

-- Answers nothing: what a batch was decided on is not how things are.
create function refuse_moved_ledger() returns bigint language plpgsql as $$
begin
    raise exception 'ledger: rows have moved on' using errcode = 'check_violation', constraint = 'ledger_moved';
end $$;
