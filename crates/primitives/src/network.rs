//! Bitcoin networks by the names used everywhere in AILayer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A name that is no network of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown network {0:?}: use bitcoin, testnet4, signet or regtest")]
pub struct UnknownNetwork(pub String);

/// A Bitcoin network. The production network is called `bitcoin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The production network: real money.
    Bitcoin,
    /// The fourth test network.
    Testnet4,
    /// The default signet.
    Signet,
    /// A private network that mines at will.
    Regtest,
}

impl Network {
    /// The name in configuration, receipts and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bitcoin => "bitcoin",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// True where coins have value, so that a configuration must consent explicitly.
    pub const fn is_production(self) -> bool {
        matches!(self, Self::Bitcoin)
    }
}

impl FromStr for Network {
    type Err = UnknownNetwork;
    fn from_str(name: &str) -> Result<Self, UnknownNetwork> {
        match name {
            "bitcoin" => Ok(Self::Bitcoin),
            "testnet4" => Ok(Self::Testnet4),
            "signet" => Ok(Self::Signet),
            "regtest" => Ok(Self::Regtest),
            _ => Err(UnknownNetwork(name.to_owned())),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Network> for bitcoin::Network {
    fn from(network: Network) -> Self {
        match network {
            Network::Bitcoin => Self::Bitcoin,
            Network::Testnet4 => Self::Testnet4,
            Network::Signet => Self::Signet,
            Network::Regtest => Self::Regtest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for network in [Network::Bitcoin, Network::Testnet4, Network::Signet, Network::Regtest] {
            assert_eq!(network.to_string().parse(), Ok(network));
            assert_eq!(serde_json::to_string(&network).unwrap(), format!("\"{network}\""));
        }
        assert!("mainnet".parse::<Network>().is_err());
    }
}
