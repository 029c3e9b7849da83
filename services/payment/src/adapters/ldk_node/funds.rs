//! What LDK says about the money in channels, in our words.
//!
//! The channel manager knows balances to the millisatoshi, the monitors what is in flight. Sources of the formulas: LDK 0.2's
//! `get_available_balances` and `ChannelMonitor::get_claimable_balances`.

use std::collections::BTreeMap;

use ailayer_primitives::{AmountError, AmountMsat, AmountSat};
use ldk_node::{BalanceDetails, ChannelDetails, LightningBalance, PendingSweepBalance};

use crate::domain::channel::UserChannelId;
use crate::domain::funds::{ChannelId, NodeFunds, OpenChannel};

/// Arriving and leaving payments that are outputs of their own, by channel.
type InFlight = BTreeMap<ChannelId, (AmountMsat, AmountMsat)>;

pub(super) fn read(channels: &[ChannelDetails], balances: &BalanceDetails) -> Result<NodeFunds, AmountError> {
    let mut funds =
        NodeFunds { open: channels.iter().map(open).collect::<Result<_, _>>()?, ..NodeFunds::default() };
    let mut in_flight = InFlight::new();
    for balance in &balances.lightning_balances {
        add(&mut funds, &mut in_flight, balance)?;
    }
    for sweep in &balances.pending_balances_from_channel_closures {
        let (PendingSweepBalance::PendingBroadcast { channel_id, amount_satoshis }
        | PendingSweepBalance::BroadcastAwaitingConfirmation { channel_id, amount_satoshis, .. }
        | PendingSweepBalance::AwaitingThresholdConfirmations { channel_id, amount_satoshis, .. }) = sweep;
        // Only channels of old versions of LDK have no id, and none of ours is as old.
        let settling = funds.settling.entry(channel_id.map_or([0; 32], |id| id.0)).or_default();
        settling.sweeping = settling.sweeping.checked_add(AmountSat::try_new(*amount_satoshis)?)?;
    }
    // The monitor lists what is in flight by itself, beside the commitment or, once a closing transaction is in a block, without.
    for (channel_id, (arriving, leaving)) in in_flight {
        if let Some(commitment) = funds.commitments.get_mut(&channel_id) {
            grow(&mut commitment.arriving, arriving.msat())?;
            grow(&mut commitment.leaving, leaving.msat())?;
        } else {
            let settling = funds.settling.entry(channel_id).or_default();
            (settling.arriving, settling.leaving) = (arriving, leaving);
        }
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

fn add(
    funds: &mut NodeFunds,
    in_flight: &mut InFlight,
    balance: &LightningBalance,
) -> Result<(), AmountError> {
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
            grow(&mut in_flight.entry(channel_id.0).or_default().0, whole.msat())
        }
        LightningBalance::MaybeTimeoutClaimableHTLC { channel_id, amount_satoshis, .. } => {
            let whole = AmountSat::try_new(*amount_satoshis)?.to_msat();
            grow(&mut in_flight.entry(channel_id.0).or_default().1, whole.msat())
        }
        LightningBalance::ClaimableAwaitingConfirmations { channel_id, amount_satoshis, .. }
        | LightningBalance::ContentiousClaimable { channel_id, amount_satoshis, .. }
        | LightningBalance::CounterpartyRevokedOutputClaimable { channel_id, amount_satoshis, .. } => {
            let settling = funds.settling.entry(channel_id.0).or_default();
            settling.to_wallet = settling.to_wallet.checked_add(AmountSat::try_new(*amount_satoshis)?)?;
            Ok(())
        }
    }
}

fn grow(amount: &mut AmountMsat, msat: u64) -> Result<(), AmountError> {
    *amount = amount.checked_add(AmountMsat::try_new(msat)?)?;
    Ok(())
}

#[cfg(test)]
mod tests;
