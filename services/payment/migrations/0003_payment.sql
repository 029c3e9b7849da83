-- The payment service's own truth. Every move of a row is a compare-and-set on its state, in the same
-- transaction as the event that tells of it.

-- Ties this schema to one node and one secret: a service started with another data folder refuses to start.
create table node_identity (
    only_row           boolean primary key default true check (only_row),
    network            text    not null,
    node_id            bytea   not null check (octet_length(node_id) = 33),
    secret_fingerprint bytea   not null check (octet_length(secret_fingerprint) = 32)
);

create table hold_invoice (
    invoice_id             uuid   primary key,
    payment_hash           bytea  not null unique check (octet_length(payment_hash) = 32),
    -- The node's own id of the payment: LDK is about to key by it instead of by the hash.
    node_payment_id        bytea  check (octet_length(node_payment_id) = 32),
    -- Null together: an id that was released before it was created.
    amount_msat            bigint check (amount_msat > 0),
    description_hash       bytea  check (octet_length(description_hash) = 32),
    expiry_s               bigint check (expiry_s > 0),
    bolt11                 text   not null default '',
    state                  text   not null check (state in (
        'INTENT', 'OPEN', 'ACCEPTED', 'CLAIM_REQUESTED', 'CLAIMED', 'LOST',
        'RELEASE_REQUESTED', 'RELEASED', 'EXPIRED')),
    expiry_unix_s          bigint not null,
    -- Null together: nothing arrived.
    accepted_amount_msat   bigint check (accepted_amount_msat >= 0),
    claim_deadline_height  bigint check (claim_deadline_height >= 0),
    accepted_unix_ms       bigint,
    release_reason         text   not null default '',
    fail_back_until_height bigint,
    created_unix_ms        bigint not null,
    updated_unix_ms        bigint not null,
    check ((amount_msat is null) = (description_hash is null) and (amount_msat is null) = (expiry_s is null)),
    check ((accepted_amount_msat is null) = (accepted_unix_ms is null)),
    check (state not in ('ACCEPTED', 'CLAIM_REQUESTED', 'CLAIMED', 'LOST') or claim_deadline_height is not null)
);

-- What the guard and the limits look at: rows that can still move.
create index hold_invoice_open on hold_invoice (state)
    where state in ('INTENT', 'OPEN', 'ACCEPTED', 'CLAIM_REQUESTED', 'RELEASE_REQUESTED');
-- What is failed back again at every start.
create index hold_invoice_fail_back on hold_invoice (fail_back_until_height)
    where fail_back_until_height is not null;

-- Every state a hold invoice was ever in. Append-only.
create table hold_invoice_history (
    id               bigint generated always as identity primary key,
    invoice_id       uuid   not null references hold_invoice,
    state            text   not null,
    recorded_unix_ms bigint not null
);
create index hold_invoice_history_invoice on hold_invoice_history (invoice_id);

create table outgoing_payment (
    payment_hash     bytea  primary key check (octet_length(payment_hash) = 32),
    bolt11           text   not null,
    amount_msat      bigint not null check (amount_msat > 0),
    fee_limit_msat   bigint not null check (fee_limit_msat >= 0),
    fee_msat         bigint not null default 0 check (fee_msat >= 0),
    state            text   not null check (state in ('PENDING', 'IN_FLIGHT', 'SUCCEEDED', 'FAILED')),
    failure_reason   text   not null default '',
    preimage         bytea  check (octet_length(preimage) = 32),
    attempts         bigint not null default 0,
    created_unix_ms  bigint not null,
    updated_unix_ms  bigint not null,
    check ((state = 'SUCCEEDED') = (preimage is not null))
);
create index outgoing_payment_open on outgoing_payment (created_unix_ms) where state in ('PENDING', 'IN_FLIGHT');
-- The velocity limit's window.
create index outgoing_payment_created on outgoing_payment (created_unix_ms);

-- Money the node reports that no row authorised: a spontaneous payment, or a receipt for a hold that was
-- written off. Never guessed away; reconciliation books it to suspense.
create table unexpected_receipt (
    payment_hash     bytea  primary key check (octet_length(payment_hash) = 32),
    amount_msat      bigint not null,
    note             text   not null,
    recorded_unix_ms bigint not null
);

create table channel_order (
    request_id       uuid   primary key,
    peer_node_id     bytea  not null check (octet_length(peer_node_id) = 33),
    peer_address     text   not null,
    amount_sat       bigint not null,
    push_msat        bigint not null,
    announce         boolean not null,
    -- Null until the node has begun to open it.
    user_channel_id  bytea unique check (octet_length(user_channel_id) = 16),
    created_unix_ms  bigint not null
);

create table channel (
    user_channel_id  bytea  primary key check (octet_length(user_channel_id) = 16),
    peer_node_id     bytea  not null check (octet_length(peer_node_id) = 33),
    funding_txid     bytea  check (octet_length(funding_txid) = 32),
    funding_vout     bigint,
    amount_sat       bigint not null,
    announced        boolean not null,
    ready_unix_ms    bigint not null,
    closed_unix_ms   bigint,
    close_reason     text   not null default ''
);
