-- Payments that left the node without a row stay in the payment service's journal for ever. An operator who has found out about them
-- says so, and only what comes after is a finding.
create table explained_payments (
    -- The first so many of the journal, those explained before included.
    payments          bigint primary key check (payments > 0),
    note              text   not null check (note <> ''),
    operator          text   not null,
    explained_unix_ms bigint not null
);
create trigger explained_payments_append_only before update or delete or truncate on explained_payments
    for each statement execute function refuse_change();
