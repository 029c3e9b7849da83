//! Translation between shared protobuf types and primitives.

use ailayer_primitives::Network;
use ailayer_proto::ailayer::common::v1 as pb;

/// A network as it travels.
pub const fn network_to_proto(network: Network) -> pb::Network {
    match network {
        Network::Bitcoin => pb::Network::Bitcoin,
        Network::Testnet4 => pb::Network::Testnet4,
        Network::Signet => pb::Network::Signet,
        Network::Regtest => pb::Network::Regtest,
    }
}

/// A network that arrived; `None` for unspecified or unknown numbers.
pub fn network_from_proto(number: i32) -> Option<Network> {
    match pb::Network::try_from(number).ok()? {
        pb::Network::Unspecified => None,
        pb::Network::Bitcoin => Some(Network::Bitcoin),
        pb::Network::Testnet4 => Some(Network::Testnet4),
        pb::Network::Signet => Some(Network::Signet),
        pb::Network::Regtest => Some(Network::Regtest),
    }
}
