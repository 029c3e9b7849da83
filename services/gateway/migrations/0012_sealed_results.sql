-- Sealed answers: stored and delivered as a ciphertext, and paid only once the buyer has acknowledged it.

alter table jobs
    -- Row 1: the buyer's key, if the answer is to be sealed to it.
    add column sealed_to            bytea  check (octet_length(sealed_to) = 32),
    -- Row 6: `output` is the ciphertext, and this its SHA-256. The answer itself is stored nowhere.
    add column sealed_digest        bytea  check (octet_length(sealed_digest) = 32),
    -- Row 7, noted with the receipt's index: from then on the ciphertext can be fetched.
    add column appended_unix_ms     bigint,
    -- The buyer has it.
    add column acknowledged_unix_ms bigint,
    add constraint jobs_sealed check (case
        when sealed_to is null
            then sealed_digest is null and appended_unix_ms is null and acknowledged_unix_ms is null
        else rail = 'hold' and (sealed_digest is null) = (receipt is null) end),
    add constraint jobs_appended check (appended_unix_ms is null or (receipt is not null and leaf_index is not null)),
    -- No claim of a sealed answer without an acknowledgement.
    add constraint jobs_acknowledged check ((acknowledged_unix_ms is null or appended_unix_ms is not null)
        and (sealed_to is null or acknowledged_unix_ms is not null or state not in ('TAKING', 'SETTLED', 'LOST')));
