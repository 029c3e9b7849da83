-- What operators decide while the gateway runs.

-- Over the prices of the configuration.
create table prices (
    model_name     text   primary key,
    per_call_msat  bigint not null check (per_call_msat >= 0),
    per_token_msat bigint not null check (per_token_msat >= 0),
    set_unix_ms    bigint not null,
    check (per_call_msat > 0 or per_token_msat > 0)
);

create table brakes (
    brake           text    primary key check (brake in ('new_jobs', 'claims')),
    engaged         boolean not null,
    note            text    not null,
    operator        text    not null,
    changed_unix_ms bigint  not null
);

-- Corrections of a balance: proposed by one operator, approved by another, then posted under their own id.
create table adjustments (
    adjustment_id    uuid   primary key,
    request_id       uuid   not null constraint adjustments_request_id unique,
    account_id       uuid   not null references accounts,
    amount_msat      bigint not null check (amount_msat <> 0),
    note             text   not null check (note <> ''),
    proposed_by      text   not null,
    proposed_unix_ms bigint not null,
    approved_by      text   check (approved_by <> proposed_by),
    applied_unix_ms  bigint,
    check ((applied_unix_ms is null) or (approved_by is not null))
);
