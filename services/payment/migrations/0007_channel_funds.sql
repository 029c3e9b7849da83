-- What the node's channels hold must be what the rows say, to the millisatoshi: what each held for us when it opened, plus what
-- came in, less what left, less what those held that are closed.

-- What nothing else explains. The first row begins the comparison: 0 for a service that is new, else what made the books agree when this
-- table came. Later ones are residues that operators have accepted. Append-only.
create table funds_correction (
    id               bigint generated always as identity primary key,
    msat             bigint not null,
    note             text   not null,
    recorded_unix_ms bigint not null
);

create table channel_funds (
    user_channel_id bytea  primary key check (octet_length(user_channel_id) = 16),
    -- The protocol's id: what is still to come out of a closed channel is known by it.
    channel_id      bytea  not null check (octet_length(channel_id) = 32),
    -- True if this node pays the commitment's fee.
    outbound        boolean not null,
    amount_sat      bigint not null check (amount_sat > 0),
    -- What it held for us before its first payment.
    opened_msat     bigint not null check (opened_msat >= 0),
    opened_unix_ms  bigint not null,
    -- Null together: what it held for us when it was last looked at with nothing in flight, and what the node's own
    -- output of the commitment was then.
    seen_msat       bigint,
    seen_to_self_sat bigint,
    seen_unix_ms    bigint,
    -- Null together while it is open: what it held for us when it closed, at least and at most.
    closed_min_msat bigint,
    closed_max_msat bigint,
    closed_unix_ms  bigint,
    check ((seen_msat is null) = (seen_to_self_sat is null) and (seen_msat is null) = (seen_unix_ms is null)),
    check ((closed_min_msat is null) = (closed_max_msat is null)
        and (closed_min_msat is null) = (closed_unix_ms is null)),
    check (closed_min_msat <= closed_max_msat)
);

-- What forwarding others' payments has earned. The node's events have no id: what marks the last one is kept until the node has
-- dropped it, so that one that comes again is not counted again.
create table forwarding (
    only_row    boolean primary key default true check (only_row),
    earned_msat bigint not null default 0 check (earned_msat >= 0),
    payments    bigint not null default 0 check (payments >= 0),
    undropped   bytea  check (octet_length(undropped) = 32)
);
insert into forwarding default values;

-- What the recipient got; null if the node's list does not say.
alter table unexpected_payment add column amount_msat bigint check (amount_msat >= 0);
