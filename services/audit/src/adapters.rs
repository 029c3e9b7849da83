//! Technologies behind the ports, and the wallet toolkit.

pub mod bdk;
pub mod indexer_grpc;
