//! The ports over real technology.

pub mod grpc;
