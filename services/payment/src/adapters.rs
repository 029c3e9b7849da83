//! Technologies behind the ports.

pub mod ldk_node;
