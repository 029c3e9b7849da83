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
        assert_eq!(truth.held(), Range::exactly(i128::from(own) + 7_000_001));
    }
}

#[test]
fn what_is_on_its_way_out_may_be_ours_or_not() {
    let truth = Truth { own: 50_000_000, leaving: 3_000_007, ..QUIET };
    assert_eq!(truth.held(), Range { min: 50_000_000, max: 53_000_007 });
}

#[test]
fn a_close_is_read_from_the_last_quiet_look_if_nothing_has_changed() {
    let truth = Truth { own: 50_000_700, ..QUIET };
    let seen = Seen { held: amount(50_000_700), to_self: truth.commitment().to_self };
    let rounded = Range { min: 50_000_000, max: 50_000_999 };
    let close =
        |commitment, settling| held_at_close(sats(1_000_000), false, Some(seen), commitment, settling);
    let commitment = truth.commitment();
    assert_eq!(close(Some(&commitment), AmountSat::ZERO), rounded);
    // The closing transaction is in a block already.
    assert_eq!(close(None, seen.to_self), rounded);
    // Something was earned since.
    let later = Truth { own: 60_000_300, ..QUIET }.commitment();
    assert_eq!(close(Some(&later), AmountSat::ZERO), Range { min: 60_000_000, max: 60_354_000 });
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
                let held = held_at_close(
                    sats(1_000_000),
                    outbound,
                    None,
                    Some(&truth.commitment()),
                    AmountSat::ZERO,
                );
                let least = i128::from(own + claiming);
                let most = i128::from(own + claiming + leaving + arriving);
                assert!(held.min <= least && held.max >= most, "{held:?} of {least} to {most}");
                let slack = if outbound { 3_020_000 } else { 354_000 };
                assert!(held.max - held.min <= most - least + slack, "{held:?} of {least} to {most}");
            }
        }
    }
}

#[test]
fn two_ranges_differ_by_what_neither_covers() {
    let (low, high) = (Range { min: 1, max: 5 }, Range { min: 8, max: 9 });
    assert_eq!((high.beyond(low), low.beyond(high), low.beyond(Range::exactly(5))), (3, -3, 0));
    assert_eq!(high.minus(low), Range { min: 3, max: 8 });
}
