-- The same rules as before, where they cost less. PostgreSQL reads a table's CHECK constraints from text once a statement: the 35 of
-- `jobs` took ten times as long as the row they were about, and those of the ledger an eighth of a batch. A function's rules are
-- read once a connection. A rule that is broken still has a name, and still ends the transaction.

create function rule_broken(rule text, what text) returns void language plpgsql as $$
begin
    raise exception '%', what using errcode = 'check_violation', constraint = rule;
end $$;

-- Every new version of a job's row: what its columns must say together, and which state may follow which.
create function guard_job() returns trigger language plpgsql as $$
declare
    broken text;
begin
    if tg_op = 'UPDATE' and old.state <> new.state and (
            old.state in ('SETTLED', 'LOST', 'FAILED', 'CANCELED', 'EXPIRED')
            or (old.state = 'TAKING' and new.state not in ('SETTLED', 'LOST'))) then
        perform rule_broken('jobs_state_order', format('a job in state %s cannot become %s', old.state, new.state));
    end if;
    broken := case
        when new.version <= 0 or new.attempt < 0 or new.input_tokens < 0 or new.invoice_expiry_s <= 0 then 'jobs_counts'
        when octet_length(new.body_digest) <> 32 or octet_length(new.token_hash) <> 32
            or octet_length(new.model_digest) <> 32 or octet_length(new.request_digest) <> 32
            or octet_length(new.payment_hash) <> 32 or octet_length(new.output_digest) <> 32
            or octet_length(new.sealed_to) <> 32 or octet_length(new.sealed_digest) <> 32
            or octet_length(new.payer) <> 16 then 'jobs_digests'
        when new.price_msat <= 0 or new.held_amount_msat < new.price_msat or new.per_call_msat < 0
            or new.per_token_msat < 0 or new.charge_msat not between 0 and new.price_msat then 'jobs_amounts'
        -- Who pays, and how.
        when (new.rail = 'prepaid') <> (new.account_id is not null) or (new.account_id is null) <> (new.key_id is null)
            or (new.account_id is null) <> (new.per_call_msat is null)
            or (new.account_id is null) <> (new.per_token_msat is null)
            or (new.rail = 'hold' and new.invoice_expiry_s is null) then 'jobs_rail'
        when case new.rail when 'hold' then (new.bolt11 is null) <> (new.payment_hash is null)
                           when 'prepaid' then new.bolt11 is not null or new.payment_hash is not null
                           else true end then 'jobs_invoice'
        when (new.held_amount_msat is null) <> (new.accepted_unix_ms is null)
            -- A reservation has no height at which it goes back.
            or (new.claim_deadline_height is null) <> (new.held_amount_msat is null or new.rail = 'prepaid')
            then 'jobs_held'
        -- What has been written down by the time a job is in a state. No claim without a stored receipt.
        when (new.receipt is null) <> (new.completed_unix_ms is null) then 'jobs_receipt'
        when case new.state
                when 'QUOTED' then new.rail = 'prepaid'
                when 'HELD' then new.held_amount_msat is null or new.rail = 'prepaid'
                when 'RUNNING' then new.held_amount_msat is null
                when 'COMPLETED' then new.held_amount_msat is null or new.receipt is null
                when 'TAKING' then new.held_amount_msat is null or new.receipt is null or new.leaf_index is null
                    or new.rail = 'prepaid'
                when 'SETTLED' then new.held_amount_msat is null or new.receipt is null or new.leaf_index is null
                    or new.closing is null
                when 'LOST' then new.held_amount_msat is null or new.receipt is null or new.leaf_index is null
                    or new.closing is null or new.rail = 'prepaid'
                when 'RELEASING' then new.rail = 'prepaid'
                else new.state not in ('FAILED', 'CANCELED', 'EXPIRED') end then 'jobs_state'
        when (new.release_reason is not null) <> (new.state in ('RELEASING', 'FAILED', 'CANCELED', 'EXPIRED'))
            then 'jobs_release'
        -- A prepaid job takes what was used.
        when (new.taken_msat is not null) <> (new.state = 'SETTLED')
            or case new.rail when 'hold' then new.taken_msat < new.price_msat
                             else new.taken_msat <> new.charge_msat end then 'jobs_taken'
        -- Sealed answers. No claim of one without an acknowledgement.
        when case when new.sealed_to is null
                then new.sealed_digest is not null or new.appended_unix_ms is not null or new.acknowledged_unix_ms is not null
                else new.rail <> 'hold' or (new.sealed_digest is null) <> (new.receipt is null)
                    or (new.acknowledged_unix_ms is not null and new.appended_unix_ms is null)
                    or (new.acknowledged_unix_ms is null and new.state in ('TAKING', 'SETTLED', 'LOST'))
                    or (new.appended_unix_ms is not null and (new.receipt is null or new.leaf_index is null)) end
            then 'jobs_sealed'
    end;
    if broken is not null then
        perform rule_broken(broken, format('job %s in state %s breaks the rule %s', new.job_id, new.state, broken));
    end if;
    return new;
end $$;

drop trigger jobs_state_order on jobs;
drop function guard_job_state();
create trigger jobs_guard before insert or update on jobs for each row execute function guard_job();

-- History is written by the statement that changes the job, from the rows it has changed: there is no job to look for.
alter table job_events drop constraint job_events_job_id_fkey;

do $$
declare
    name     text;
    relation regclass;
begin
    for name, relation in
        select conname, conrelid from pg_constraint where contype = 'c'
            and conrelid = any (array['jobs', 'ledger_transactions', 'ledger_accounts']::regclass[])
    loop
        execute format('alter table %s drop constraint %I', relation, name);
    end loop;
end $$;

-- Of the ledger, a rule is held against all rows of a statement at once, and those of one table by one query: to start a query takes
-- longer than to hold a batch against it.

create or replace function check_ledger_lines() returns trigger language plpgsql
    set enable_seqscan = off set enable_hashjoin = on set enable_nestloop = off set enable_mergejoin = off
    set jit = off as $$
declare
    broken text;
begin
    with touched as materialized (
        select account_id, asset, version, balance_units from ledger_accounts
        where account_id = any (array(select distinct account_id from new_lines)))
    select case
        when exists (select from new_lines group by transaction_id
                     having count(*) < 2 or min(line) <> 0 or max(line) <> count(*) - 1)
            then 'a transaction comes with all its lines, two at least'
        when exists (select from new_lines left join touched using (account_id)
                     group by transaction_id, asset having sum(amount_units) <> 0 or asset is null)
            then 'a transaction does not sum to zero'
        when (select count(*) from new_lines where line = 0)
            <> (select count(*) from ledger_transactions
                where transaction_id = any (array(select transaction_id from new_lines where line = 0))
                    and kind in ('credit', 'debit', 'capture', 'reverse', 'adjust', 'post'))
            then 'lines without their transaction, or lines that move nothing'
        when exists (select from (select distinct on (account_id) account_id, account_version, balance_units from new_lines
                                  order by account_id, account_version desc) last
                     join touched using (account_id)
                     where touched.version < last.account_version or touched.balance_units <> last.balance_units)
            then 'an account does not carry its last line'
    end into broken;
    if broken is not null then
        perform ledger_broken(broken);
    end if;
    return null;
end $$;

create or replace function check_ledger_transactions() returns trigger language plpgsql
    set enable_seqscan = off set jit = off as $$
declare
    broken text;
begin
    with headers as materialized (
        select transaction_id, account_id,
            kind in ('credit', 'debit', 'capture', 'reverse', 'adjust', 'post') as moves,
            kind in ('reserve', 'void', 'expire', 'freeze', 'unfreeze', 'set_limit') as rests,
            octet_length(body_digest) = 32 and shortfall_units >= 0 as is_sound
        from new_transactions)
    select case
        when exists (select from headers where not (is_sound and (moves or rests)))
            then 'a transaction of no known kind, or with an impossible digest or shortfall'
        when (select count(*) from headers where moves)
            <> (select count(*) from ledger_lines
                where line = 0 and transaction_id = any (array(select transaction_id from headers where moves)))
            then 'a transaction without lines'
        when (select count(distinct account_id) from headers)
            <> (select count(*) from ledger_accounts
                where account_id = any (array(select distinct account_id from headers)))
            then 'a transaction without its account'
    end into broken;
    if broken is not null then
        perform ledger_broken(broken);
    end if;
    return null;
end $$;

-- What holds of any account.
create function is_sound_ledger_account(kind text, side smallint, customer_id uuid, limit_units bigint,
    balance_units bigint, reserved_units bigint, frozen boolean, version bigint) returns boolean language sql immutable
    return side in (1, -1) and version >= 0 and reserved_units >= 0
        -- What is set aside never reaches below the limit.
        and balance_units - reserved_units >= coalesce(limit_units, balance_units - reserved_units)
        and kind in ('liability:customer', 'asset:receivable', 'asset:lightning', 'asset:on_chain', 'asset:liquid',
            'revenue:inference', 'expense:fees', 'liability:suspense', 'expense:channel_loss', 'expense:write_off')
        and (kind in ('liability:customer', 'asset:receivable')) = (customer_id is not null)
        and (kind = 'liability:customer') = (limit_units is not null)
        and (kind = 'liability:customer' or (reserved_units = 0 and not frozen));

create or replace function check_ledger_accounts() returns trigger language plpgsql
    set enable_seqscan = off set jit = off as $$
declare
    broken text;
begin
    select case
        when exists (select from new_accounts
                     where not is_sound_ledger_account(kind, side, customer_id, limit_units, balance_units,
                         reserved_units, frozen, version))
            then 'an account below its limit, or of no known kind'
        when exists (select from new_accounts account where balance_units <> coalesce((
                         select balance_units from ledger_lines where account_id = account.account_id
                         order by account_version desc limit 1), 0))
            then 'a balance without its line'
    end into broken;
    if broken is not null then
        perform ledger_broken(broken);
    end if;
    return null;
end $$;

-- Setting money aside moves no balance, and then there is no line to look for. An account keeps its name and what it is, and its
-- version never falls.
create or replace function check_ledger_balances() returns trigger language plpgsql
    set enable_seqscan = off set enable_hashjoin = on set enable_nestloop = off set enable_mergejoin = off
    set jit = off as $$
declare
    broken text;
begin
    with moved as materialized (
        select account.account_id, account.balance_units, account.balance_units <> earlier.balance_units as has_moved,
            is_sound_ledger_account(account.kind, account.side, account.customer_id, account.limit_units,
                account.balance_units, account.reserved_units, account.frozen, account.version) as is_sound,
            account.code = earlier.code and account.kind = earlier.kind and account.asset = earlier.asset
                and account.side = earlier.side and account.customer_id is not distinct from earlier.customer_id
                and account.version >= earlier.version as is_same
        from new_accounts account join old_accounts earlier using (account_id))
    select case
        when exists (select from moved where not is_sound) then 'an account below its limit, or of no known kind'
        when (select count(*) from moved where is_same) <> (select count(*) from new_accounts)
            then 'an account keeps its name and never goes back'
        when exists (select from moved where has_moved and balance_units <> coalesce((
                         select balance_units from ledger_lines where account_id = moved.account_id
                         order by account_version desc limit 1), 0))
            then 'a balance without its line'
    end into broken;
    if broken is not null then
        perform ledger_broken(broken);
    end if;
    return null;
end $$;
drop trigger ledger_accounts_keep_their_name on ledger_accounts;
