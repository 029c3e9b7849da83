-- Who may write: each process that becomes the writer of that name counts the epoch up.
create table single_writer (
    name  text   primary key,
    epoch bigint not null check (epoch > 0)
);
