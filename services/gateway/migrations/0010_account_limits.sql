-- What all keys of an account together may ask for and spend; no row, no limit.

create table account_limits (
    account_id             uuid    primary key references accounts,
    -- At most so much reserved and taken in one window; the window begins with the first job behind the last one.
    spend_limit_msat       bigint  check (spend_limit_msat > 0),
    spend_window_ms        bigint  check (spend_window_ms > 0),
    window_started_unix_ms bigint  not null default 0,
    window_spent_msat      bigint  not null default 0 check (window_spent_msat >= 0),
    requests_per_minute    integer check (requests_per_minute > 0),
    tokens_per_minute      bigint  check (tokens_per_minute > 0),

    check ((spend_limit_msat is null) = (spend_window_ms is null))
);
