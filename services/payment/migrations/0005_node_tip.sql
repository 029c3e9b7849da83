-- The node's tip and when this service first saw it, so that a restart makes a stuck tip no younger.
create table node_tip (
    only_row     boolean primary key default true check (only_row),
    height       bigint  not null check (height >= 0),
    since_unix_s bigint  not null check (since_unix_s >= 0)
);
