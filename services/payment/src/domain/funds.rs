//! What the node's channels hold for us, read to the millisatoshi, and what they should hold.
//!
//! ```text
//! expected = corrections + opened with + taken + earned by forwarding - sent - fees - held at their closes
//! node     = the sum over open channels of what is ours, or will be whatever the peer does
//! ```
//!
//! Each side is a [`Range`]: where money is in motion, or a close left only whole satoshi to read, the truth lies between two
//! bounds. The residue is what lies outside both; it is 0, or a person has to look.

use std::collections::BTreeMap;

use ailayer_primitives::{AmountMsat, AmountSat};

use super::channel::UserChannelId;

/// Both anchor outputs of a commitment (BOLT 3), which the channel's opener pays, millisatoshi.
const ANCHORS_MSAT: i128 = 660_000;
/// An output below it is left out of a commitment, so that its amount cannot be read there: the largest dust limit that LDK lets a peer
/// ask for, millisatoshi.
const DUST_MSAT: i128 = 546_000;
/// What rounding to whole satoshi can hide.
const ROUNDING_MSAT: i128 = 999;

/// The protocol's id of a channel; changes once, when it is funded.
pub type ChannelId = [u8; 32];

/// Between two amounts, millisatoshi, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// At least.
    pub min: i128,
    /// At most.
    pub max: i128,
}

impl Range {
    /// One amount.
    pub const fn exactly(msat: i128) -> Self {
        Self { min: msat, max: msat }
    }

    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    /// The difference.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self { min: self.min.saturating_sub(other.max), max: self.max.saturating_sub(other.min) }
    }

    /// How far this lies above `other`; negative if below, 0 if they touch.
    pub const fn beyond(self, other: Self) -> i128 {
        if self.min > other.max {
            self.min.saturating_sub(other.max)
        } else if self.max < other.min {
            self.max.saturating_sub(other.min)
        } else {
            0
        }
    }
}

/// A channel that is not closed, as the node's channel manager has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenChannel {
    /// The local id.
    pub user_channel_id: UserChannelId,
    /// The protocol's id.
    pub channel_id: ChannelId,
    /// True if this node opened it, and pays its commitment's fee and anchors.
    pub outbound: bool,
    /// Its size.
    pub amount: AmountSat,
    /// What is ours, less what is on its way out, our reserve and, if we opened it, the anchors; never below 0.
    pub outbound_capacity: AmountMsat,
    /// What is the peer's, less what is on its way in, the peer's reserve and, if it opened it, the anchors; never below 0.
    pub inbound_capacity: AmountMsat,
    /// What we must keep.
    pub own_reserve: AmountSat,
    /// What the peer must keep.
    pub peer_reserve: AmountSat,
}

/// Our commitment transaction of a channel whose funding output is not spent in a block yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Commitment {
    /// Our output, and the whole satoshi of arriving payments whose preimage is known.
    pub to_self: AmountSat,
    /// What goes to miners if this node opened the channel: the fee, and what is too small for an output.
    pub fee: AmountSat,
    /// What of arriving payments with a known preimage is not in `to_self`.
    pub claiming: AmountMsat,
    /// Arriving payments whose preimage is not known.
    pub arriving: AmountMsat,
    /// Payments on their way out.
    pub leaving: AmountMsat,
}

impl Commitment {
    /// Nothing is on its way in or out.
    pub fn is_quiet(&self) -> bool {
        [self.claiming, self.arriving, self.leaving] == [AmountMsat::ZERO; 3]
    }
}

/// Everything the node says about its channels at one time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeFunds {
    /// The channels that are not closed.
    pub open: Vec<OpenChannel>,
    /// The commitments of channels whose funding output is not spent yet, those of channels that are just closing included.
    pub commitments: BTreeMap<ChannelId, Commitment>,
    /// What is left of channels whose closing transaction is in a block, by channel.
    pub settling: BTreeMap<ChannelId, Settling>,
}

/// What is left of a channel whose closing transaction is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settling {
    /// What waits for blocks and will go to the wallet, before fees.
    pub to_wallet: AmountSat,
    /// What is on its way there: outputs that are being swept.
    pub sweeping: AmountSat,
    /// Outputs that are ours if we get their preimage in time.
    pub arriving: AmountMsat,
    /// Outputs that are ours if the peer does not.
    pub leaving: AmountMsat,
}

/// What a channel was seen to hold with nothing in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What was ours.
    pub held: AmountMsat,
    /// What our output of the commitment was.
    pub to_self: AmountSat,
}

fn msat(amount: AmountMsat) -> i128 {
    i128::from(amount.msat())
}

fn sat(amount: AmountSat) -> i128 {
    msat(amount.to_msat())
}

/// What a channel holds for us: our balance, what we are about to take from it, and at least without, at most with what is on
/// its way out.
pub fn held(channel: &OpenChannel, commitment: &Commitment) -> Range {
    let leaving = msat(commitment.leaving);
    let beside_peer = held_beside_peer(channel, commitment);
    // What the manager says is ours: what it has leaving, or is claiming, is not in it. The anchors are, if we pay them.
    let own = msat(channel.outbound_capacity) + sat(channel.own_reserve);
    let with_anchors = own + ANCHORS_MSAT;
    let own_at_most =
        if channel.outbound && with_anchors <= sat(channel.amount) { with_anchors } else { own };
    let max = if channel.inbound_capacity > AmountMsat::ZERO {
        beside_peer
    } else {
        // The peer is at its reserve: the bound hides some of what is the peer's, so that ours is at least what is beside it, and is read
        // from our own side. Nothing tells a channel without anchors then: one whose peer cannot do anchors is taken for one
        // with them until the peer has more.
        (own_at_most + leaving + msat(commitment.claiming)).max(beside_peer)
    };
    let held = Range { min: max - leaving, max };
    if channel.outbound_capacity == AmountMsat::ZERO {
        return held;
    }
    // Between two messages of the protocol the manager and the monitor have different payments in flight, and while a splice waits for its
    // blocks the two sides are read from different fundings: then the truth lies between them.
    Range { min: held.min.min(own_at_most), max: held.max.max(own) }
}

/// All that is not the peer's. Exact as long as the peer is above its reserve.
fn held_beside_peer(channel: &OpenChannel, commitment: &Commitment) -> i128 {
    let rest = sat(channel.amount)
        - msat(channel.inbound_capacity)
        - sat(channel.peer_reserve)
        - msat(commitment.arriving);
    if channel.outbound {
        return rest;
    }
    // The peer pays the anchors, if the channel has any. It has none if we then held less than what can be seen of it.
    let without = rest - ANCHORS_MSAT;
    let seen = if channel.outbound_capacity > AmountMsat::ZERO {
        msat(channel.outbound_capacity) + sat(channel.own_reserve) + msat(commitment.leaving)
    } else {
        sat(commitment.to_self)
    };
    if without >= seen { without } else { rest }
}

/// A channel that closes, as it was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// Its size.
    pub amount: AmountSat,
    /// True if this node opened it.
    pub outbound: bool,
    /// What it was last seen to hold with nothing in flight.
    pub seen: Option<Seen>,
    /// What may have been in flight or claimed since then, by our own rows: a peer's closing transaction leaves out what is dust.
    pub moved: AmountMsat,
}

/// What a channel held for us when it closed.
///
/// `settling` is what is left of it if its closing transaction is in a block already and the commitment gone. Exact to the satoshi if the
/// channel did not change since it was last seen quiet; else our output may have been too small to be there.
pub fn held_at_close(
    closing: Closing,
    commitment: Option<&Commitment>,
    settling: Option<&Settling>,
) -> Range {
    match commitment {
        Some(commitment) => held_before_its_block(closing, commitment),
        None => held_behind_its_block(closing, settling.copied().unwrap_or_default()),
    }
}

fn held_before_its_block(closing: Closing, commitment: &Commitment) -> Range {
    let unchanged = |seen: &Seen| commitment.is_quiet() && seen.to_self == commitment.to_self;
    if let Some(seen) = closing.seen.filter(unchanged) {
        return to_the_satoshi(seen);
    }
    let min = sat(commitment.to_self) + msat(commitment.claiming);
    let in_flight = msat(commitment.arriving) + msat(commitment.leaving);
    let cost = if closing.outbound { sat(commitment.fee) + ANCHORS_MSAT } else { 0 };
    Range { min, max: min + DUST_MSAT + in_flight + cost }
}

fn held_behind_its_block(closing: Closing, settling: Settling) -> Range {
    let to_self = sat(settling.to_wallet) + sat(settling.sweeping);
    let in_flight = (msat(settling.arriving) + msat(settling.leaving)).max(msat(closing.moved));
    match closing.seen {
        // Nothing was in flight, and what is left is what was there. So it is if nothing is left to read: that is how long ago it was.
        Some(seen) if in_flight == 0 && (to_self == sat(seen.to_self) || to_self == 0) => {
            to_the_satoshi(seen)
        }
        Some(seen) => {
            let quiet = to_the_satoshi(seen);
            let min = (quiet.min - in_flight).max(0).min(if to_self == 0 { i128::MAX } else { to_self });
            Range { min, max: quiet.max.max(to_self + DUST_MSAT) + in_flight }
        }
        // Never seen quiet: the fee is not known if we pay it.
        None if closing.outbound || to_self == 0 => {
            Range { min: to_self, max: sat(closing.amount).max(to_self) }
        }
        None => Range { min: to_self, max: to_self + DUST_MSAT + in_flight },
    }
}

fn to_the_satoshi(seen: Seen) -> Range {
    let min = msat(seen.held) - msat(seen.held) % 1000;
    Range { min, max: min + ROUNDING_MSAT }
}

#[cfg(test)]
mod tests;
