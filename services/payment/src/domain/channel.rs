//! Channels as this service speaks of them.

use ailayer_primitives::{AmountMsat, AmountSat};
use bitcoin::OutPoint;
use bitcoin::secp256k1::PublicKey;

/// The local id of a channel; stable from the first message to the close, unlike the protocol's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserChannelId(pub u128);

impl UserChannelId {
    /// Big-endian bytes, as stored and sent.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }
}

/// A channel as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// The local id.
    pub user_channel_id: UserChannelId,
    /// The peer.
    pub peer_node_id: PublicKey,
    /// True if this node opened, and funded, it. The log does not keep it: `false` for a closed channel.
    pub outbound: bool,
    /// The funding output, once known.
    pub funding: Option<OutPoint>,
    /// The channel's size.
    pub amount: AmountSat,
    /// What can be sent now.
    pub outbound_capacity: AmountMsat,
    /// What can be received now.
    pub inbound_capacity: AmountMsat,
    /// Both sides consider it confirmed.
    pub ready: bool,
    /// Ready, and the peer is connected.
    pub usable: bool,
    /// Announced to the network.
    pub announced: bool,
}

/// What the caller asked for. A repeated request must ask for exactly the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelOrder {
    /// The peer.
    pub peer_node_id: PublicKey,
    /// The peer's host:port.
    pub peer_address: String,
    /// The channel's size.
    pub amount: AmountSat,
    /// What is given to the peer's side at once.
    pub push: AmountMsat,
    /// Announce it to the network.
    pub announce: bool,
}
