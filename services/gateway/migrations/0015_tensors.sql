-- Tensors are sold by the byte of their inputs. Texts have tokens and no such bytes, tensors bytes and no tokens.
alter table prices
    add column per_tensor_byte_msat bigint not null default 0 check (per_tensor_byte_msat >= 0),
    drop constraint prices_check,
    add constraint prices_ask_something check (per_call_msat > 0 or per_token_msat > 0 or per_tensor_byte_msat > 0);

alter table jobs
    add column tensor_bytes bigint not null default 0,
    -- The price in force when a prepaid job was quoted, as its other prices are; none of jobs from before.
    add column per_tensor_byte_msat bigint;

-- Every new version of a job's row: what its columns must say together, and which state may follow which.
create or replace function guard_job() returns trigger language plpgsql as $$
declare
    broken text;
begin
    if tg_op = 'UPDATE' and old.state <> new.state and (
            old.state in ('SETTLED', 'LOST', 'FAILED', 'CANCELED', 'EXPIRED')
            or (old.state = 'TAKING' and new.state not in ('SETTLED', 'LOST'))) then
        perform rule_broken('jobs_state_order', format('a job in state %s cannot become %s', old.state, new.state));
    end if;
    broken := case
        when new.version <= 0 or new.attempt < 0 or new.input_tokens < 0 or new.tensor_bytes < 0
            or new.invoice_expiry_s <= 0 then 'jobs_counts'
        when octet_length(new.body_digest) <> 32 or octet_length(new.token_hash) <> 32
            or octet_length(new.model_digest) <> 32 or octet_length(new.request_digest) <> 32
            or octet_length(new.payment_hash) <> 32 or octet_length(new.output_digest) <> 32
            or octet_length(new.sealed_to) <> 32 or octet_length(new.sealed_digest) <> 32
            or octet_length(new.payer) <> 16 then 'jobs_digests'
        when new.price_msat <= 0 or new.held_amount_msat < new.price_msat or new.per_call_msat < 0
            or new.per_token_msat < 0 or new.per_tensor_byte_msat < 0
            or new.charge_msat not between 0 and new.price_msat then 'jobs_amounts'
        -- Who pays, and how.
        when (new.rail = 'prepaid') <> (new.account_id is not null) or (new.account_id is null) <> (new.key_id is null)
            or (new.account_id is null) <> (new.per_call_msat is null)
            or (new.account_id is null) <> (new.per_token_msat is null)
            -- A replica that sells no tensors yet writes none.
            or (new.account_id is null and new.per_tensor_byte_msat is not null)
            or (new.rail = 'hold' and new.invoice_expiry_s is null) then 'jobs_rail'
        when case new.rail when 'hold' then (new.bolt11 is null) <> (new.payment_hash is null)
                           when 'prepaid' then new.bolt11 is not null or new.payment_hash is not null
                           else true end then 'jobs_invoice'
        when (new.held_amount_msat is null) <> (new.accepted_unix_ms is null)
            -- A reservation has no height at which it goes back.
            or (new.claim_deadline_height is null) <> (new.held_amount_msat is null or new.rail = 'prepaid')
            then 'jobs_held'
        -- What has been written down by the time a job is in a state. No claim without a stored receipt.
        when (new.receipt is null) <> (new.completed_unix_ms is null) then 'jobs_receipt'
        when case new.state
                when 'QUOTED' then new.rail = 'prepaid'
                when 'HELD' then new.held_amount_msat is null or new.rail = 'prepaid'
                when 'RUNNING' then new.held_amount_msat is null
                when 'COMPLETED' then new.held_amount_msat is null or new.receipt is null
                when 'TAKING' then new.held_amount_msat is null or new.receipt is null or new.leaf_index is null
                    or new.rail = 'prepaid'
                when 'SETTLED' then new.held_amount_msat is null or new.receipt is null or new.leaf_index is null
                    or new.closing is null
                when 'LOST' then new.held_amount_msat is null or new.receipt is null or new.leaf_index is null
                    or new.closing is null or new.rail = 'prepaid'
                when 'RELEASING' then new.rail = 'prepaid'
                else new.state not in ('FAILED', 'CANCELED', 'EXPIRED') end then 'jobs_state'
        when (new.release_reason is not null) <> (new.state in ('RELEASING', 'FAILED', 'CANCELED', 'EXPIRED'))
            then 'jobs_release'
        -- A prepaid job takes what was used.
        when (new.taken_msat is not null) <> (new.state = 'SETTLED')
            or case new.rail when 'hold' then new.taken_msat < new.price_msat
                             else new.taken_msat <> new.charge_msat end then 'jobs_taken'
        -- Sealed answers. No claim of one without an acknowledgement.
        when case when new.sealed_to is null
                then new.sealed_digest is not null or new.appended_unix_ms is not null or new.acknowledged_unix_ms is not null
                else new.rail <> 'hold' or (new.sealed_digest is null) <> (new.receipt is null)
                    or (new.acknowledged_unix_ms is not null and new.appended_unix_ms is null)
                    or (new.acknowledged_unix_ms is null and new.state in ('TAKING', 'SETTLED', 'LOST'))
                    or (new.appended_unix_ms is not null and (new.receipt is null or new.leaf_index is null)) end
            then 'jobs_sealed'
    end;
    if broken is not null then
        perform rule_broken(broken, format('job %s in state %s breaks the rule %s', new.job_id, new.state, broken));
    end if;
    return new;
end $$;
