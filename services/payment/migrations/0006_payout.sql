-- What has left, or is about to: payments, and what new channels give to their peers at once. What the velocity limit counts.
-- Fees count with their limit until they are known. An order that the node refused has no row any more.
create view payout as
    select created_unix_ms, amount_msat + case when state = 'SUCCEEDED' then fee_msat else fee_limit_msat end as msat
    from outgoing_payment where state <> 'FAILED'
    union all
    select created_unix_ms, push_msat from channel_order where push_msat > 0;

create index channel_order_push on channel_order (created_unix_ms) where push_msat > 0;
