-- Jobs that are paid from a balance: they begin RUNNING, in the commit that reserves their cap, and end in our own books.

alter table jobs
    add column rail           text not null default 'hold' check (rail in ('hold', 'prepaid')),
    add column account_id     uuid,
    add column key_id         uuid,
    -- The prices in force when it was quoted: what was used is charged by them.
    add column per_call_msat  bigint check (per_call_msat >= 0),
    add column per_token_msat bigint check (per_token_msat >= 0),
    -- Row 6: what the receipt says will be taken.
    add column charge_msat    bigint,
    alter column invoice_expiry_s drop not null,
    -- A prepaid job takes what was used.
    drop constraint jobs_check1,
    -- A reservation has no height at which it goes back.
    drop constraint jobs_check3,
    drop constraint jobs_request_id,
    add constraint jobs_charge check (charge_msat between 0 and price_msat),
    add constraint jobs_taken check (case rail when 'hold' then taken_msat >= price_msat
                                               else taken_msat = charge_msat end),
    add constraint jobs_held check ((held_amount_msat is null) = (accepted_unix_ms is null)
        and (claim_deadline_height is null) = (held_amount_msat is null or rail = 'prepaid')),
    add constraint jobs_rail check ((rail = 'prepaid') = (account_id is not null)
        and (account_id is null) = (key_id is null)
        and (account_id is null) = (per_call_msat is null) and (account_id is null) = (per_token_msat is null)
        and (rail = 'prepaid' or invoice_expiry_s is not null)),
    add constraint jobs_prepaid_states check (rail = 'hold' or (payment_hash is null
        and state in ('RUNNING', 'COMPLETED', 'SETTLED', 'FAILED', 'CANCELED', 'EXPIRED')));

-- A buyer without an account is known by nothing but the id of the request; a customer's ids are the customer's own.
create unique index jobs_request_id on jobs (request_id) where account_id is null;
create unique index jobs_account_request_id on jobs (account_id, request_id) where account_id is not null;
create index jobs_account on jobs (account_id, job_id) where account_id is not null;
