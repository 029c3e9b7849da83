-- Which chain this schema follows. A schema never changes its network.
create table chain (
    -- One row.
    singleton boolean primary key default true check (singleton),
    network text not null,
    -- The first header: genesis, or the configured checkpoint. Believed without a check.
    base_height bigint not null check (base_height >= 0),
    base_hash bytea not null check (octet_length(base_hash) = 32)
);

-- The headers of the best chain, one a height, without a gap from the base to the tip.
create table header (
    height bigint primary key check (height between 0 and 4294967295),
    block_hash bytea not null unique check (octet_length(block_hash) = 32),
    -- 80 bytes as on the wire.
    raw bytea not null check (octet_length(raw) = 80),
    -- Cumulative work from the base, 32 bytes big endian.
    chain_work bytea not null check (octet_length(chain_work) = 32)
);
