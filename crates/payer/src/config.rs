//! What a buyer's node is made of.

use std::net::SocketAddr;
use std::path::PathBuf;

use ailayer_platform::config::Secret;
use ailayer_primitives::Network;

/// Where a buyer's node keeps its state and how it reaches the chain.
#[derive(Debug, Clone)]
pub struct PayerConfig {
    /// Keys and channel state. Losing it loses funds; running it twice at once does too.
    pub data_dir: PathBuf,
    /// The network.
    pub network: Network,
    /// Bitcoin Core's RPC host.
    pub rpc_host: String,
    /// Bitcoin Core's RPC port.
    pub rpc_port: u16,
    /// Bitcoin Core's RPC user.
    pub rpc_user: String,
    /// Bitcoin Core's RPC password.
    pub rpc_password: Secret<String>,
    /// Where peers may connect; `None` only connects out.
    pub listen: Option<SocketAddr>,
}
