-- Lightning invoices that fund a balance. A deposit's id is its invoice's at the payment service.

create table deposits (
    deposit_id       uuid    primary key,
    account_id       uuid    not null references accounts,
    request_id       uuid    not null,
    amount_msat      bigint  not null check (amount_msat > 0),
    state            text    not null check (state in ('OPEN', 'TAKING', 'CREDITED', 'EXPIRED', 'RETURNED')),
    invoice_expiry_s integer not null check (invoice_expiry_s > 0),
    expiry_unix_ms   bigint  not null,
    bolt11           text,
    payment_hash     bytea   constraint deposits_payment_hash unique check (octet_length(payment_hash) = 32),
    -- What was taken, and what of it the balance got; the rest is in suspense.
    taken_msat       bigint  check (taken_msat > 0),
    credited_msat    bigint  check (credited_msat between 1 and taken_msat),
    created_unix_ms  bigint  not null,
    updated_unix_ms  bigint  not null,

    constraint deposits_request_id unique (account_id, request_id),
    check ((bolt11 is null) = (payment_hash is null)),
    check ((credited_msat is not null) = (state = 'CREDITED')),
    check ((taken_msat is null) = (credited_msat is null))
);
create index deposits_taking on deposits (deposit_id) where state = 'TAKING';
create index deposits_open on deposits (account_id) where state = 'OPEN';

-- Money that came and is not known to be anybody's: posted to liability:suspense in the same commit.
create table suspense_items (
    item_id          uuid   primary key,
    source           text   not null check (source in ('job', 'deposit', 'receipt')),
    source_id        uuid   not null,
    amount_msat      bigint not null check (amount_msat > 0),
    note             text   not null,
    created_unix_ms  bigint not null,
    account_id       uuid   references accounts,
    resolved_by      text,
    resolved_unix_ms bigint,
    check ((account_id is null) = (resolved_by is null) and (account_id is null) = (resolved_unix_ms is null))
);
create index suspense_items_waiting on suspense_items (created_unix_ms, item_id) where account_id is null;
