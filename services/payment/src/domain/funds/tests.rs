//! Figures as LDK would give them, from a channel of which everything is known.

use super::*;

const RESERVE: u64 = 10_000;

/// A channel of a million satoshi with anchors, seen from one side.
#[derive(Clone, Copy)]
struct Truth {
    outbound: bool,
    anchors: bool,
    /// Our balance, what is leaving and what is being claimed apart.
    own: u64,
    leaving: u64,
    arriving: u64,
    claiming: u64,
}

const QUIET: Truth = Truth { outbound: false, anchors: true, own: 0, leaving: 0, arriving: 0, claiming: 0 };

fn amount(msat: u64) -> AmountMsat {
    AmountMsat::try_new(msat).unwrap()
}

fn sats(sat: u64) -> AmountSat {
    AmountSat::try_new(sat).unwrap()
}

impl Truth {
    fn value() -> u64 {
        1_000_000_000
    }

    /// LDK's `get_available_balances`.
    fn channel(self) -> OpenChannel {
        let peer = Self::value() - self.own - self.leaving - self.arriving - self.claiming;
        let anchors = if self.anchors { 660_000 } else { 0 };
        let (ours, theirs) = if self.outbound { (anchors, 0) } else { (0, anchors) };
        OpenChannel {
            user_channel_id: UserChannelId(1),
            channel_id: [1; 32],
            outbound: self.outbound,
            amount: sats(Self::value() / 1000),
            outbound_capacity: amount(self.own.saturating_sub(ours).saturating_sub(RESERVE * 1000)),
            inbound_capacity: amount(peer.saturating_sub(theirs).saturating_sub(RESERVE * 1000)),
            own_reserve: sats(RESERVE),
            peer_reserve: sats(RESERVE),
        }
    }

    /// `get_claimable_balances`, each kind of payment in flight being one, and none of it dust.
    fn commitment(self) -> Commitment {
        let fee = 1_000;
        let anchors = if self.anchors { 660 } else { 0 };
        let output =
            if self.outbound { (self.own / 1000).saturating_sub(fee + anchors) } else { self.own / 1000 };
        let output = if output < 354 { 0 } else { output };
        Commitment {
            to_self: sats(output + self.claiming / 1000),
            fee: sats(if self.outbound { fee } else { 0 }),
            claiming: amount(self.claiming % 1000),
            arriving: amount(self.arriving),
            leaving: amount(self.leaving),
        }
    }

    fn held(self) -> Range {
        held(&self.channel(), &self.commitment())
    }
}

#[test]
fn a_quiet_channel_is_read_to_the_millisatoshi() {
    for outbound in [false, true] {
        for anchors in [false, true] {
            // From nothing at all to all but nothing; both sides below their reserve is not possible.
            for own in
                [0, 1, 353_999, 659_999, 660_000, 661_001, 9_999_999, 10_660_001, 500_000_123, 987_000_000]
            {
                let own = if outbound { own + 2_000_000 } else { own };
                let truth = Truth { outbound, anchors, own, ..QUIET };
                assert_eq!(truth.held(), Range::exactly(own.into()), "{outbound} {anchors} {own}");
            }
        }
    }
    // The peer below its reserve, and without anything, as behind an opening without a gift.
    let truth = Truth { outbound: true, own: 995_000_123, ..QUIET };
    assert_eq!(truth.held(), Range::exactly(995_000_123));
    for anchors in [false, true] {
        let own = Truth::value();
        let truth = Truth { outbound: true, anchors, own, ..QUIET };
        assert_eq!(truth.held(), Range::exactly(own.into()), "{anchors}");
    }
}

#[test]
fn what_waits_for_its_preimage_is_not_ours_yet_and_what_is_claimed_is() {
    for (outbound, own) in [(false, 0), (false, 50_000_000), (true, 50_000_000)] {
        let truth = Truth { outbound, own, arriving: 7_000_001, ..QUIET };
        assert_eq!(truth.held(), Range::exactly(own.into()));
        let truth = Truth { outbound, own, claiming: 7_000_001, ..QUIET };
        let held = truth.held();
        // The manager does not count it yet where its own side can be read.
        assert!(held.max == i128::from(own) + 7_000_001 && held.min >= i128::from(own), "{held:?}");
    }
}

#[test]
fn what_is_on_its_way_out_may_be_ours_or_not() {
    let truth = Truth { own: 50_000_000, leaving: 3_000_007, ..QUIET };
    assert_eq!(truth.held(), Range { min: 50_000_000, max: 53_000_007 });
}

fn closing(outbound: bool, seen: Option<Seen>, moved: u64) -> Closing {
    Closing { amount: sats(1_000_000), outbound, seen, moved: amount(moved) }
}

#[test]
fn between_two_messages_the_truth_lies_between_manager_and_monitor() {
    // The recipient has the money and the peer hangs: the monitor has dropped the payment, the manager has not.
    let paid = Truth { own: 50_000_000, leaving: 3_000_000, ..QUIET };
    let without = Commitment { leaving: AmountMsat::ZERO, ..paid.commitment() };
    assert_eq!(held(&paid.channel(), &without), Range { min: 50_000_000, max: 53_000_000 });
    // A hold that was given back: the manager has dropped it, the monitor has not.
    let quiet = Truth { own: 50_000_000, ..QUIET };
    let with = Commitment { arriving: amount(7_000_000), ..quiet.commitment() };
    let held = held(&quiet.channel(), &with);
    assert!(held.max == 50_000_000 && held.min >= 43_000_000, "{held:?}");
}

/// The payer sent all it could, so that its capacity says nothing.
#[test]
fn what_is_claimed_from_a_peer_at_its_reserve_is_ours() {
    let own = 1_000_000_000 - 10_000_000 - 660_000 - 5_000_000;
    let truth = Truth { own, claiming: 5_000_000, ..QUIET };
    assert_eq!(truth.channel().inbound_capacity, AmountMsat::ZERO);
    assert_eq!(truth.held().max, i128::from(own) + 5_000_000);
}

#[test]
fn a_close_is_read_from_the_last_quiet_look_if_nothing_has_changed() {
    let truth = Truth { own: 50_000_700, ..QUIET };
    let commitment = truth.commitment();
    let seen = Some(Seen { held: amount(50_000_700), to_self: commitment.to_self });
    let rounded = Range { min: 50_000_000, max: 50_000_999 };
    assert_eq!(held_at_close(closing(false, seen, 0), Some(&commitment), None), rounded);
    // The closing transaction is in a block already; its output is being swept; all of it has long gone to the wallet.
    let settling = Settling { to_wallet: commitment.to_self, ..Settling::default() };
    let sweeping = Settling { sweeping: commitment.to_self, ..Settling::default() };
    for left in [Some(&settling), Some(&sweeping), None] {
        assert_eq!(held_at_close(closing(false, seen, 0), None, left), rounded);
    }
    // Something was earned since.
    let later = Truth { own: 60_000_300, ..QUIET }.commitment();
    let held = held_at_close(closing(false, seen, 0), Some(&later), None);
    assert_eq!(held, Range { min: 60_000_000, max: 60_546_000 });
}

#[test]
fn a_close_covers_the_truth_whatever_was_in_flight() {
    for outbound in [false, true] {
        for (leaving, arriving, claiming) in
            [(0, 0, 0), (5_000_001, 0, 0), (0, 5_000_001, 0), (0, 0, 5_000_001)]
        {
            for own in [0, 353_999, 40_000_500] {
                let own = if outbound { own + 2_000_000 } else { own };
                let truth = Truth { outbound, own, leaving, arriving, claiming, ..QUIET };
                let held = held_at_close(closing(outbound, None, 0), Some(&truth.commitment()), None);
                let least = i128::from(own + claiming);
                let most = i128::from(own + claiming + leaving + arriving);
                assert!(held.min <= least && held.max >= most, "{held:?} of {least} to {most}");
                let slack = if outbound { 3_210_000 } else { 546_000 };
                assert!(held.max - held.min <= most - least + slack, "{held:?} of {least} to {most}");
            }
        }
    }
}

/// Its transaction is in a block before this node hears of the close, and only what was worth an output is listed.
#[test]
fn a_close_by_the_peer_covers_what_was_in_flight_dust_too() {
    let quiet = Truth { own: 50_000_700, ..QUIET };
    let seen = Some(Seen { held: amount(50_000_700), to_self: quiet.commitment().to_self });
    let to_wallet = quiet.commitment().to_self;
    let covers = |moved, settling: &Settling, truths: &[i128]| {
        let held = held_at_close(closing(false, seen, moved), None, Some(settling));
        for truth in truths {
            assert!((held.min..=held.max).contains(truth), "{truth} is not in {held:?}");
        }
        assert!(held.max - held.min <= 2 * 7_000_000 + 546_999, "{held:?} says too little");
    };
    // A hold that we claim on chain afterwards, or not: the listing has it.
    let listed = Settling { to_wallet, arriving: amount(7_000_000), ..Settling::default() };
    covers(0, &listed, &[50_000_700, 57_000_700]);
    // Dust that was claimed just before: only our rows have it.
    covers(90_000, &Settling { to_wallet, ..Settling::default() }, &[50_000_700, 50_090_700]);
    // A payout that was on its way when the peer closed: its output is the peer's, or ours.
    let sent = Settling { to_wallet: sats(43_000), leaving: amount(7_000_000), ..Settling::default() };
    covers(7_000_000, &sent, &[43_000_700, 50_000_700]);
}

#[test]
fn two_ranges_differ_by_what_neither_covers() {
    let (low, high) = (Range { min: 1, max: 5 }, Range { min: 8, max: 9 });
    assert_eq!((high.beyond(low), low.beyond(high), low.beyond(Range::exactly(5))), (3, -3, 0));
    assert_eq!(high.minus(low), Range { min: 3, max: 8 });
}
