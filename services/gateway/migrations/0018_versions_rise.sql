-- Who remembers how it left an account compares what it holds, and its version: no change without a higher one.

create or replace function check_ledger_balances() returns trigger language plpgsql
    set enable_seqscan = off set enable_hashjoin = on set enable_nestloop = off set enable_mergejoin = off
    set jit = off as $$
declare
    broken text;
begin
    with moved as materialized (
        select account.account_id, account.balance_units, account.balance_units <> earlier.balance_units as has_moved,
            is_sound_ledger_account(account.kind, account.side, account.customer_id, account.limit_units,
                account.balance_units, account.reserved_units, account.frozen, account.version) as is_sound,
            account.code = earlier.code and account.kind = earlier.kind and account.asset = earlier.asset
                and account.side = earlier.side and account.customer_id is not distinct from earlier.customer_id
                and account.version >= earlier.version as is_same,
            account.version > earlier.version as has_risen
        from new_accounts account join old_accounts earlier using (account_id))
    select case
        when exists (select from moved where not is_sound) then 'an account below its limit, or of no known kind'
        when (select count(*) from moved where is_same) <> (select count(*) from new_accounts)
            then 'an account keeps its name and never goes back'
        when exists (select from moved where has_moved and balance_units <> coalesce((
                         select balance_units from ledger_lines where account_id = moved.account_id
                         order by account_version desc limit 1), 0))
            then 'a balance without its line'
        when exists (select from moved where not has_risen) then 'an account that moved without a new version'
    end into broken;
    if broken is not null then
        perform ledger_broken(broken);
    end if;
    return null;
end $$;
