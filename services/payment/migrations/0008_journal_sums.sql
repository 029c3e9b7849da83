-- The journal's sums move with the rows they are of: a comparison every half a minute must not read every invoice that was ever paid.
-- The one row is hardly a new queue: nearly all that moves it also appends an event, and those take turns already, if one statement later.
-- Lock order: the row, the sums, the events' cursor.

create table journal_sum (
    only_row                 boolean primary key default true check (only_row),
    claimed_msat             bigint not null,
    unexpected_received_msat bigint not null,
    sent_msat                bigint not null,
    -- What payments and unexpected payments cost.
    fees_msat                bigint not null,
    unexpected_payments      bigint not null,
    unexpected_sent_msat     bigint not null
);

-- Nobody writes between the sums and the triggers that keep them.
lock table hold_invoice, outgoing_payment, unexpected_receipt, unexpected_payment in share row exclusive mode;

insert into journal_sum (claimed_msat, unexpected_received_msat, sent_msat, fees_msat, unexpected_payments,
    unexpected_sent_msat)
select
    (select coalesce(sum(accepted_amount_msat), 0) from hold_invoice where state = 'CLAIMED'),
    (select coalesce(sum(amount_msat), 0) from unexpected_receipt),
    (select coalesce(sum(amount_msat), 0) from outgoing_payment where state = 'SUCCEEDED'),
    (select coalesce(sum(fee_msat), 0) from outgoing_payment where state = 'SUCCEEDED')
        + (select coalesce(sum(fee_msat), 0) from unexpected_payment),
    (select count(*) from unexpected_payment),
    (select coalesce(sum(amount_msat), 0) from unexpected_payment);

-- Each function adds what the row is worth now and takes off what it was worth before, so that no order of moves, and no correction by
-- hand, is forgotten, whatever the path of who makes it. A row that is not there is worth nothing.

create function sum_hold_invoice() returns trigger language plpgsql set search_path from current as $$
begin
    update journal_sum set claimed_msat = claimed_msat
        + case when tg_op <> 'DELETE' and new.state = 'CLAIMED' then coalesce(new.accepted_amount_msat, 0) else 0 end
        - case when tg_op <> 'INSERT' and old.state = 'CLAIMED' then coalesce(old.accepted_amount_msat, 0) else 0 end;
    return null;
end $$;
create trigger hold_invoice_claimed after update on hold_invoice for each row
    when ((old.state = 'CLAIMED' or new.state = 'CLAIMED')
        and (old.state, old.accepted_amount_msat) is distinct from (new.state, new.accepted_amount_msat))
    execute function sum_hold_invoice();
create trigger hold_invoice_inserted after insert on hold_invoice for each row
    when (new.state = 'CLAIMED') execute function sum_hold_invoice();
create trigger hold_invoice_deleted after delete on hold_invoice for each row
    when (old.state = 'CLAIMED') execute function sum_hold_invoice();

create function sum_outgoing_payment() returns trigger language plpgsql set search_path from current as $$
declare
    is_sent  boolean := tg_op <> 'DELETE' and new.state = 'SUCCEEDED';
    was_sent boolean := tg_op <> 'INSERT' and old.state = 'SUCCEEDED';
begin
    update journal_sum set
        sent_msat = sent_msat + case when is_sent then new.amount_msat else 0 end
            - case when was_sent then old.amount_msat else 0 end,
        fees_msat = fees_msat + case when is_sent then new.fee_msat else 0 end
            - case when was_sent then old.fee_msat else 0 end;
    return null;
end $$;
create trigger outgoing_payment_sent after update on outgoing_payment for each row
    when (old.state = 'SUCCEEDED' or new.state = 'SUCCEEDED') execute function sum_outgoing_payment();
create trigger outgoing_payment_inserted after insert on outgoing_payment for each row
    when (new.state = 'SUCCEEDED') execute function sum_outgoing_payment();
create trigger outgoing_payment_deleted after delete on outgoing_payment for each row
    when (old.state = 'SUCCEEDED') execute function sum_outgoing_payment();

create function sum_unexpected_receipt() returns trigger language plpgsql set search_path from current as $$
begin
    update journal_sum set unexpected_received_msat = unexpected_received_msat
        + case when tg_op <> 'DELETE' then new.amount_msat else 0 end
        - case when tg_op <> 'INSERT' then old.amount_msat else 0 end;
    return null;
end $$;
create trigger unexpected_receipt_sum after insert or update or delete on unexpected_receipt
    for each row execute function sum_unexpected_receipt();

create function sum_unexpected_payment() returns trigger language plpgsql set search_path from current as $$
begin
    update journal_sum set
        unexpected_payments = unexpected_payments
            + case when tg_op <> 'DELETE' then 1 else 0 end - case when tg_op <> 'INSERT' then 1 else 0 end,
        unexpected_sent_msat = unexpected_sent_msat
            + case when tg_op <> 'DELETE' then coalesce(new.amount_msat, 0) else 0 end
            - case when tg_op <> 'INSERT' then coalesce(old.amount_msat, 0) else 0 end,
        fees_msat = fees_msat
            + case when tg_op <> 'DELETE' then new.fee_msat else 0 end
            - case when tg_op <> 'INSERT' then old.fee_msat else 0 end;
    return null;
end $$;
create trigger unexpected_payment_sum after insert or update or delete on unexpected_payment
    for each row execute function sum_unexpected_payment();

-- Emptying a table at once would pass by the rows' triggers.
create function refuse_truncate() returns trigger language plpgsql as $$
begin
    raise exception '% is summed up row by row', tg_table_name using errcode = 'check_violation';
end $$;
create trigger hold_invoice_stay before truncate on hold_invoice execute function refuse_truncate();
create trigger outgoing_payment_stay before truncate on outgoing_payment execute function refuse_truncate();
create trigger unexpected_receipt_stay before truncate on unexpected_receipt execute function refuse_truncate();
create trigger unexpected_payment_stay before truncate on unexpected_payment execute function refuse_truncate();
