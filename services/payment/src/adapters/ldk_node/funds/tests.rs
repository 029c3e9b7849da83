use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use ldk_node::lightning::chain::channelmonitor::BalanceSource;
use ldk_node::lightning::ln::types::ChannelId as LdkChannelId;
use ldk_node::lightning_types::payment::PaymentHash;

use super::*;
use crate::domain::funds::Settling;

fn peer() -> PublicKey {
    PublicKey::from_secret_key(&Secp256k1::new(), &SecretKey::from_slice(&[3; 32]).unwrap())
}

fn hold(channel: u8, amount_satoshis: u64) -> LightningBalance {
    LightningBalance::MaybePreimageClaimableHTLC {
        channel_id: LdkChannelId([channel; 32]),
        counterparty_node_id: peer(),
        amount_satoshis,
        expiry_height: 200,
        payment_hash: PaymentHash([channel; 32]),
    }
}

fn balances(lightning_balances: Vec<LightningBalance>) -> BalanceDetails {
    BalanceDetails {
        total_onchain_balance_sats: 0,
        spendable_onchain_balance_sats: 0,
        total_anchor_channels_reserve_sats: 0,
        total_lightning_balance_sats: 0,
        lightning_balances,
        pending_balances_from_channel_closures: vec![PendingSweepBalance::PendingBroadcast {
            channel_id: Some(LdkChannelId([2; 32])),
            amount_satoshis: 70,
        }],
    }
}

/// What waits for its preimage belongs to the commitment, or to what is left behind the peer's closing transaction.
#[test]
fn what_is_in_flight_is_kept_with_its_channel_before_and_behind_a_close() {
    let open = LightningBalance::ClaimableOnChannelClose {
        channel_id: LdkChannelId([1; 32]),
        counterparty_node_id: peer(),
        amount_satoshis: 900,
        transaction_fee_satoshis: 0,
        outbound_payment_htlc_rounded_msat: 0,
        outbound_forwarded_htlc_rounded_msat: 0,
        inbound_claiming_htlc_rounded_msat: 0,
        inbound_htlc_rounded_msat: 7,
    };
    let closed = LightningBalance::ClaimableAwaitingConfirmations {
        channel_id: LdkChannelId([2; 32]),
        counterparty_node_id: peer(),
        amount_satoshis: 800,
        confirmation_height: 100,
        source: BalanceSource::CounterpartyForceClosed,
    };
    let funds = read(&[], &balances(vec![hold(1, 20), open, closed, hold(2, 30), hold(2, 5)])).unwrap();
    let msat = |msat| AmountMsat::try_new(msat).unwrap();
    let sat = |sat| AmountSat::try_new(sat).unwrap();
    let [commitment] = funds.commitments.values().copied().collect::<Vec<_>>()[..] else {
        panic!("one channel is open: {funds:?}")
    };
    assert_eq!((commitment.to_self, commitment.arriving), (sat(900), msat(20_007)));
    let left = Settling { to_wallet: sat(800), sweeping: sat(70), arriving: msat(35_000), leaving: msat(0) };
    assert_eq!(funds.settling.into_iter().collect::<Vec<_>>(), [([2; 32], left)]);
}
