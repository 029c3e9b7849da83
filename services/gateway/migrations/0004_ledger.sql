-- Double entry. Positive is a debit, negative a credit; every transaction sums to zero for each asset.
create table ledger_transactions (
    transaction_id  uuid   primary key,
    job_id          uuid   not null constraint ledger_transactions_job_id unique references jobs,
    kind            text   not null check (kind in ('settled', 'lost')),
    posted_unix_ms  bigint not null
);

create table ledger_postings (
    transaction_id  uuid    not null references ledger_transactions,
    line            integer not null,
    account         text    not null,
    asset           text    not null,
    amount_msat     bigint  not null check (amount_msat <> 0),
    primary key (transaction_id, line)
);
create index ledger_postings_account on ledger_postings (account);

-- Checked at commit, when all lines are there.
create function check_ledger_balance() returns trigger language plpgsql as $$
begin
    if (select count(*) from ledger_postings where transaction_id = new.transaction_id) < 2
        or exists (select 1 from ledger_postings where transaction_id = new.transaction_id
                   group by asset having sum(amount_msat) <> 0) then
        raise exception 'ledger transaction % does not sum to zero', new.transaction_id
            using errcode = 'check_violation', constraint = 'ledger_balance';
    end if;
    return null;
end $$;
create constraint trigger ledger_transactions_balance after insert on ledger_transactions
    deferrable initially deferred for each row execute function check_ledger_balance();
create constraint trigger ledger_postings_balance after insert on ledger_postings
    deferrable initially deferred for each row execute function check_ledger_balance();

-- What is posted stays: corrections are new transactions.
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'check_violation', constraint = 'append_only';
end $$;
create trigger ledger_transactions_append_only before update or delete on ledger_transactions
    for each statement execute function refuse_change();
create trigger ledger_postings_append_only before update or delete on ledger_postings
    for each statement execute function refuse_change();
create trigger job_events_append_only before update or delete on job_events
    for each statement execute function refuse_change();
