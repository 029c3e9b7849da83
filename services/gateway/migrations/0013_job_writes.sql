-- What three writes of a job cost: every one makes a new version of its row, and an entry in every index of it.

-- Texts and answers leave the row as they are: they are signatures, digests and floats, which do not shrink, and trying takes longer
-- than writing them. Once outside, a later version of the row only points at them.
alter table jobs
    alter column input   set storage external,
    alter column quote   set storage external,
    alter column output  set storage external,
    alter column receipt set storage external,
    alter column closing set storage external;

-- Leases are given back by owner once in the life of a process; there are few jobs that are not at rest.
drop index jobs_leased;

-- Row 12: where the closing entry is in the log. A row of its own, so that the widest one of all is not written a fourth time.
create table job_closings (
    job_id     uuid   primary key,
    leaf_index bigint not null check (leaf_index >= 0)
);
insert into job_closings select job_id, closing_leaf_index from jobs where closing_leaf_index is not null;
alter table jobs drop column closing_leaf_index;
