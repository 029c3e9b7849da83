-- Events of other services that were taken in, and how far each feed was read.
create table inbox (
    source           text   not null,
    event_id         uuid   not null,
    cursor           bigint not null check (cursor > 0),
    accepted_unix_ms bigint not null,
    primary key (source, event_id)
);

create table inbox_cursor (
    source text   primary key,
    cursor bigint not null check (cursor >= 0)
);
