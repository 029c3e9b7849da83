-- Money that left the node although no row says so: a payment that was told to have FAILED, or one that no row knows (lost
-- in a restore, say). Never guessed away; reconciliation books it.
create table unexpected_payment (
    payment_hash     bytea  primary key check (octet_length(payment_hash) = 32),
    -- The proof that the recipient took it.
    preimage         bytea  not null check (octet_length(preimage) = 32),
    fee_msat         bigint not null check (fee_msat >= 0),
    note             text   not null,
    recorded_unix_ms bigint not null
);
