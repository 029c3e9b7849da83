-- Calls to other services that are still to be made. `position` orders the items of one key.
create table outbox (
    id              uuid    primary key,
    position        bigint  not null generated always as identity,
    kind            text    not null,
    key             text    not null,
    payload         bytea   not null,
    attempts        integer not null default 0 check (attempts >= 0),
    due_unix_ms     bigint  not null,
    created_unix_ms bigint  not null
);
create index outbox_due on outbox (due_unix_ms, position);
create unique index outbox_key_position on outbox (key, position);
