//! Process manager of a private development network: bitcoind, ElectrumX, PostgreSQL and the services.
//!
//! The same code serves the tests, `ailayer demo` and `ailayer up --devnet`. Everything listens on
//! 127.0.0.1 at ports that were free a moment ago, and writes into one [`DataDir`].
//!
//! Nothing outlives the process that started it: a handle ends its process when dropped, and a
//! watchdog ends what is left when this process itself dies, even by SIGKILL.
//!
//! ```no_run
//! # async fn example() -> Result<(), ailayer_devnet::DevnetError> {
//! let bitcoind = ailayer_devnet::Bitcoind::start().await?;
//! let electrumx = ailayer_devnet::ElectrumX::start(&bitcoind).await?;
//! bitcoind.mine(3).await?;
//! electrumx.wait_for_tip().await?;
//! # Ok(())
//! # }
//! ```

mod backbone;
mod bitcoind;
mod data_dir;
mod electrumx;
mod error;
mod network;
mod ports;
mod postgres;
mod process;
mod services;
mod toolbox;

pub use backbone::{Backbone, Progress};
pub use bitcoind::{Bitcoind, BlockRef};
pub use data_dir::DataDir;
pub use electrumx::ElectrumX;
pub use error::DevnetError;
pub use network::{Network, NetworkOptions, Operator, Plan};
pub use ports::{FreePort, free_port};
pub use postgres::{Postgres, SharedPostgres};
pub use process::{Account, Process, ProcessSpec, Signal};
pub use services::{AilayerBinary, ServiceAddresses, ServiceProcess, ServiceSpec};
pub use toolbox::{Tool, Toolbox};
