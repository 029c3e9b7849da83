-- Milliseconds since the Unix epoch by the database's clock: the only clock that decides about jobs.
create function unix_ms() returns bigint language sql volatile
    as $$ select floor(extract(epoch from clock_timestamp()) * 1000)::bigint $$;

-- One row a job, for ever: request_id must have the same effect for ever. Input and output are erased after their
-- retention. Times are Unix milliseconds, amounts millisatoshi.
create table jobs (
    job_id                uuid    primary key,
    -- Row 1 of the order of durable writes: what was asked and offered.
    request_id            uuid    not null constraint jobs_request_id unique,
    body_digest           bytea   not null check (octet_length(body_digest) = 32),
    token_hash            bytea   not null check (octet_length(token_hash) = 32),
    model_name            text    not null,
    model_version         text    not null,
    model_digest          bytea   not null check (octet_length(model_digest) = 32),
    input                 bytea,
    request_digest        bytea   not null check (octet_length(request_digest) = 32),
    input_tokens          bigint  not null check (input_tokens >= 0),
    quote                 text    not null,
    price_msat            bigint  not null check (price_msat > 0),
    created_unix_ms       bigint  not null,
    expiry_unix_ms        bigint  not null,
    invoice_expiry_s      integer not null check (invoice_expiry_s > 0),
    -- Where it stands.
    state                 text    not null check (state in ('QUOTED', 'HELD', 'RUNNING', 'COMPLETED', 'TAKING',
                                      'SETTLED', 'LOST', 'RELEASING', 'FAILED', 'CANCELED', 'EXPIRED')),
    version               bigint  not null default 1 check (version > 0),
    updated_unix_ms       bigint  not null,
    -- Row 2: the invoice, shown only once it is here.
    bolt11                text,
    payment_hash          bytea   constraint jobs_payment_hash unique check (octet_length(payment_hash) = 32),
    -- Row 4: the hold.
    held_amount_msat      bigint  check (held_amount_msat >= price_msat),
    claim_deadline_height bigint,
    accepted_unix_ms      bigint,
    -- Row 5: the attempt.
    attempt               integer not null default 0 check (attempt >= 0),
    started_unix_ms       bigint,
    -- Row 6: the answer and the exact bytes of its receipt.
    output                bytea,
    output_digest         bytea   check (octet_length(output_digest) = 32),
    receipt               text,
    completed_unix_ms     bigint,
    -- Row 7, written with row 8: the receipt's place in the log.
    leaf_index            bigint,
    -- Row 11: what was taken.
    taken_msat            bigint  check (taken_msat >= price_msat),
    -- Row R1.
    release_reason        text,
    -- Written with row 11 or R3, appended by row 12.
    closing               text,
    closing_leaf_index    bigint,
    -- Retention.
    erased_unix_ms        bigint,
    -- Driving: due at, and who is at it until when.
    wake_unix_ms          bigint,
    lease_owner           uuid,
    lease_until_unix_ms   bigint,

    check ((bolt11 is null) = (payment_hash is null)),
    check ((held_amount_msat is null) = (claim_deadline_height is null)
        and (held_amount_msat is null) = (accepted_unix_ms is null)),
    check ((receipt is null) = (completed_unix_ms is null)),
    check ((release_reason is not null) = (state in ('RELEASING', 'FAILED', 'CANCELED', 'EXPIRED'))),
    check (held_amount_msat is not null or state not in ('HELD', 'RUNNING', 'COMPLETED', 'TAKING', 'SETTLED', 'LOST')),
    -- No claim without a stored receipt.
    check (receipt is not null or state not in ('COMPLETED', 'TAKING', 'SETTLED', 'LOST')),
    check (leaf_index is not null or state not in ('TAKING', 'SETTLED', 'LOST')),
    check (closing is not null or state not in ('SETTLED', 'LOST')),
    check ((taken_msat is not null) = (state = 'SETTLED'))
);

create index jobs_due on jobs (wake_unix_ms) where wake_unix_ms is not null;
create index jobs_leased on jobs (lease_owner) where lease_owner is not null;
create index jobs_open on jobs (expiry_unix_ms) where state = 'QUOTED';
create index jobs_unerased on jobs (updated_unix_ms)
    where erased_unix_ms is null and state in ('SETTLED', 'LOST', 'FAILED', 'CANCELED', 'EXPIRED');

-- The last line of defence behind the compare-and-sets: nothing leaves a terminal state, and from TAKING nothing
-- but the outcome of the claim.
create function guard_job_state() returns trigger language plpgsql as $$
begin
    if old.state in ('SETTLED', 'LOST', 'FAILED', 'CANCELED', 'EXPIRED')
        or (old.state = 'TAKING' and new.state not in ('SETTLED', 'LOST')) then
        raise exception 'a job in state % cannot become %', old.state, new.state
            using errcode = 'check_violation', constraint = 'jobs_state_order';
    end if;
    return new;
end $$;
create trigger jobs_state_order before update of state on jobs
    for each row when (old.state is distinct from new.state) execute function guard_job_state();

-- What happened to each job, in order. Written with each change of state, never changed.
create table job_events (
    job_id           uuid    not null references jobs,
    version          bigint  not null,
    state            text    not null,
    attempt          integer not null,
    release_reason   text,
    recorded_unix_ms bigint  not null,
    primary key (job_id, version)
);
