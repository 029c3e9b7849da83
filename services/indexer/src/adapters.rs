//! Technologies behind the ports.

pub mod electrum_client;
