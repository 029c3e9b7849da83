-- Who asked for a quote, as far as the network tells: a keyed digest of the address, kept until the job has ended, so that one
-- buyer's open quotes and holds can be limited.

alter table jobs add column payer bytea check (octet_length(payer) = 16);

create index jobs_of_payer on jobs (payer)
    where rail = 'hold' and state in ('QUOTED', 'HELD', 'RUNNING', 'COMPLETED', 'TAKING', 'RELEASING');
