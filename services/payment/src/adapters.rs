//! Technologies behind the ports.

mod audit_grpc;
pub mod ldk_node;
