//! What LDK says about the money in channels, in our words.
//!
//! The channel manager knows balances to the millisatoshi, the monitors what is in flight. Sources of the formulas: LDK 0.2's
//! `get_available_balances` and `ChannelMonitor::get_claimable_balances`.

use ailayer_primitives::{AmountError, AmountMsat, AmountSat};
use ldk_node::{BalanceDetails, ChannelDetails, LightningBalance, PendingSweepBalance};

use crate::domain::channel::UserChannelId;
use crate::domain::funds::{ChannelId, NodeFunds, OpenChannel};

pub(super) fn read(channels: &[ChannelDetails], balances: &BalanceDetails) -> Result<NodeFunds, AmountError> {
    let mut funds =
        NodeFunds { open: channels.iter().map(open).collect::<Result<_, _>>()?, ..NodeFunds::default() };
    for balance in &balances.lightning_balances {
        add(&mut funds, balance)?;
    }
    // What waits for its timeout or its preimage in a closed channel is nobody's yet.
    let known: Vec<ChannelId> = funds.settling.keys().copied().collect();
    for closed in known {
        funds.commitments.remove(&closed);
    }
    for sweep in &balances.pending_balances_from_channel_closures {
        let (PendingSweepBalance::PendingBroadcast { amount_satoshis, .. }
        | PendingSweepBalance::BroadcastAwaitingConfirmation { amount_satoshis, .. }
        | PendingSweepBalance::AwaitingThresholdConfirmations { amount_satoshis, .. }) = sweep;
        funds.sweeping = funds.sweeping.checked_add(AmountSat::try_new(*amount_satoshis)?)?;
    }
    Ok(funds)
}

fn open(details: &ChannelDetails) -> Result<OpenChannel, AmountError> {
    Ok(OpenChannel {
        user_channel_id: UserChannelId(details.user_channel_id.0),
        channel_id: details.channel_id.0,
        outbound: details.is_outbound,
        amount: AmountSat::try_new(details.channel_value_sats)?,
        outbound_capacity: AmountMsat::try_new(details.outbound_capacity_msat)?,
        inbound_capacity: AmountMsat::try_new(details.inbound_capacity_msat)?,
        own_reserve: AmountSat::try_new(details.unspendable_punishment_reserve.unwrap_or(0))?,
        peer_reserve: AmountSat::try_new(details.counterparty_unspendable_punishment_reserve)?,
    })
}

fn add(funds: &mut NodeFunds, balance: &LightningBalance) -> Result<(), AmountError> {
    match balance {
        LightningBalance::ClaimableOnChannelClose {
            channel_id,
            amount_satoshis,
            transaction_fee_satoshis,
            outbound_payment_htlc_rounded_msat,
            outbound_forwarded_htlc_rounded_msat,
            inbound_claiming_htlc_rounded_msat,
            inbound_htlc_rounded_msat,
            ..
        } => {
            let commitment = funds.commitments.entry(channel_id.0).or_default();
            commitment.to_self = AmountSat::try_new(*amount_satoshis)?;
            commitment.fee = AmountSat::try_new(*transaction_fee_satoshis)?;
            grow(&mut commitment.claiming, *inbound_claiming_htlc_rounded_msat)?;
            grow(&mut commitment.arriving, *inbound_htlc_rounded_msat)?;
            grow(&mut commitment.leaving, *outbound_payment_htlc_rounded_msat)?;
            grow(&mut commitment.leaving, *outbound_forwarded_htlc_rounded_msat)
        }
        LightningBalance::MaybePreimageClaimableHTLC { channel_id, amount_satoshis, .. } => {
            let whole = AmountSat::try_new(*amount_satoshis)?.to_msat();
            grow(&mut funds.commitments.entry(channel_id.0).or_default().arriving, whole.msat())
        }
        LightningBalance::MaybeTimeoutClaimableHTLC { channel_id, amount_satoshis, .. } => {
            let whole = AmountSat::try_new(*amount_satoshis)?.to_msat();
            grow(&mut funds.commitments.entry(channel_id.0).or_default().leaving, whole.msat())
        }
        LightningBalance::ClaimableAwaitingConfirmations { channel_id, amount_satoshis, .. }
        | LightningBalance::ContentiousClaimable { channel_id, amount_satoshis, .. }
        | LightningBalance::CounterpartyRevokedOutputClaimable { channel_id, amount_satoshis, .. } => {
            let settling = funds.settling.entry(channel_id.0).or_insert(AmountSat::ZERO);
            *settling = settling.checked_add(AmountSat::try_new(*amount_satoshis)?)?;
            Ok(())
        }
    }
}

fn grow(amount: &mut AmountMsat, msat: u64) -> Result<(), AmountError> {
    *amount = amount.checked_add(AmountMsat::try_new(msat)?)?;
    Ok(())
}
