-- The feed of a service's events. `head` is the cursor of the last event; the row is locked by whoever appends until
-- that transaction ends, which makes cursors follow commit order without gaps.
create table event_cursor (
    only_row boolean primary key default true check (only_row),
    head     bigint not null check (head >= 0)
);
insert into event_cursor (head) values (0);

create table event_log (
    cursor           bigint primary key check (cursor > 0),
    event_id         uuid   not null constraint event_log_event_id unique,
    kind             text   not null,
    payload          bytea  not null,
    recorded_unix_ms bigint not null
);
