-- A correction may be of what was lost with a channel instead of a customer's balance. The default is for replicas that do not know it
-- yet; they cannot show a loss, and find it as a residue: none is to be proposed before all are new.
alter table adjustments
    alter column account_id drop not null,
    add column subject text not null default 'customer' check (subject in ('customer', 'channel_loss')),
    add check ((subject = 'customer') = (account_id is not null));
