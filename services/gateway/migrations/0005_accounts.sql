-- Customers with a balance, and the keys they call with. An account's id is its customer id in the ledger.

create table accounts (
    account_id      uuid   primary key,
    -- Made once, however often it is asked for.
    request_id      uuid   not null constraint accounts_request_id unique,
    name            text   not null check (octet_length(name) between 1 and 128),
    -- The credit it was opened with: a repeat must ask for the same. The ledger has the limit in force.
    opened_limit    bigint not null check (opened_limit <= 0),
    created_unix_ms bigint not null
);

create table api_keys (
    key_id                 uuid    primary key,
    account_id             uuid    not null references accounts,
    request_id             uuid    not null constraint api_keys_request_id unique,
    -- SHA-256 of the key's text, which is 256 random bits: nothing to guess, so nothing to salt.
    key_hash               bytea   not null constraint api_keys_hash unique check (octet_length(key_hash) = 32),
    name                   text    not null check (octet_length(name) between 1 and 128),
    scopes                 text[]  not null check (scopes <@ array['run', 'read', 'fund']),
    -- At most so much reserved and taken in one window; the window begins with the first job behind the last one.
    spend_limit_msat       bigint  check (spend_limit_msat > 0),
    spend_window_ms        bigint  check (spend_window_ms > 0),
    window_started_unix_ms bigint  not null default 0,
    window_spent_msat      bigint  not null default 0 check (window_spent_msat >= 0),
    requests_per_minute    integer check (requests_per_minute > 0),
    tokens_per_minute      bigint  check (tokens_per_minute > 0),
    created_unix_ms        bigint  not null,
    expires_unix_ms        bigint,
    revoked_unix_ms        bigint,

    check ((spend_limit_msat is null) = (spend_window_ms is null))
);
create index api_keys_account on api_keys (account_id, key_id);
