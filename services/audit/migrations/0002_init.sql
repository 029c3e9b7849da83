-- The log itself: one row. Every batch of entries moves it on by compare-and-set on the size and root before.
create table log (
    only_row          boolean primary key default true check (only_row),
    origin            text    not null,
    verification_key  text    not null,
    tree_size         bigint  not null check (tree_size >= 0),
    root_hash         bytea   not null check (octet_length(root_hash) = 32),
    -- Time of the newest batch; never goes backwards.
    sequenced_unix_ms bigint  not null
);

-- Entries, append-only. The leaf hash is also node (0, leaf_index) of the tree.
create table entry (
    leaf_index        bigint primary key check (leaf_index >= 0),
    leaf_hash         bytea  not null unique check (octet_length(leaf_hash) = 32),
    bytes             bytea  not null check (octet_length(bytes) between 1 and 65535),
    sequenced_unix_ms bigint not null
);

-- Complete inner nodes (level 1 and above), append-only: their hashes never change.
create table node (
    level      smallint not null check (level between 1 and 62),
    node_index bigint   not null check (node_index >= 0),
    hash       bytea    not null check (octet_length(hash) = 32),
    primary key (level, node_index)
);

-- Signed checkpoints, append-only, at most one a size.
create table checkpoint (
    tree_size      bigint primary key check (tree_size >= 0),
    root_hash      bytea  not null check (octet_length(root_hash) = 32),
    note           text   not null,
    signed_unix_ms bigint not null
);

-- Anchors. The block columns are there while a block holds one of the anchor's transactions.
create table anchor (
    anchor_id        bigint generated always as identity primary key,
    tree_size        bigint not null references checkpoint (tree_size),
    state            text   not null check (state in ('signed', 'broadcast', 'confirmed', 'final', 'conflicted')),
    created_unix_ms  bigint not null,
    -- Tip height since which it waits unconfirmed: when its fee is raised counts from here.
    waiting_height   integer not null check (waiting_height >= 0),
    included_txid    bytea  check (octet_length(included_txid) = 32),
    block_hash       bytea  check (octet_length(block_hash) = 32),
    block_height     integer check (block_height >= 0),
    branch_position  bigint check (branch_position >= 0),
    -- 32-byte sibling hashes, one after the other, from the leaf upwards.
    branch_siblings  bytea  check (octet_length(branch_siblings) % 32 = 0),
    -- 80-byte headers, one after the other, from the block upwards.
    headers          bytea  check (octet_length(headers) % 80 = 0),
    check ((state in ('confirmed', 'final')) = (block_hash is not null)),
    check (num_nulls(included_txid, block_hash, block_height, branch_position, branch_siblings, headers) in (0, 6))
);

create index anchor_by_state on anchor (state, tree_size);

-- Signed transactions of an anchor, stored before they are broadcast. Later attempts replace earlier ones.
create table anchor_transaction (
    anchor_id     bigint  not null references anchor (anchor_id),
    attempt       integer not null check (attempt >= 0),
    txid          bytea   not null unique check (octet_length(txid) = 32),
    raw           bytea   not null,
    vout          integer not null check (vout >= 0),
    fee_sat       bigint  not null check (fee_sat >= 0),
    primary key (anchor_id, attempt)
);

-- What changed in the wallet, oldest first: bdk_wallet change sets as JSON, merged into one at every start.
create table wallet_change (
    change_id bigint generated always as identity primary key,
    change    text not null
);
