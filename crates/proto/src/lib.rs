//! Generated protobuf and gRPC code of AILayer.
//!
//! Everything below `gen/` is written by `cargo xtask gen-proto` from `proto/` and committed;
//! continuous integration regenerates it and compares. Documentation lives in the `.proto` files.
#![allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all)]

/// The serialised `FileDescriptorSet` of every proto, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/descriptors.binpb");

pub mod bounded;

/// Packages named `ailayer.*`.
pub mod ailayer {
    /// Types shared by the services.
    pub mod common {
        /// Version 1.
        pub mod v1 {
            include!("gen/ailayer.common.v1.rs");
        }
    }
    /// The audit log.
    pub mod audit {
        /// Version 1.
        pub mod v1 {
            include!("gen/ailayer.audit.v1.rs");
        }
    }
    /// The gateway.
    pub mod gateway {
        /// Version 1.
        pub mod v1 {
            include!("gen/ailayer.gateway.v1.rs");
        }
    }
    /// The chain follower.
    pub mod indexer {
        /// Version 1.
        pub mod v1 {
            include!("gen/ailayer.indexer.v1.rs");
        }
    }
    /// The Lightning node.
    pub mod payment {
        /// Version 1.
        pub mod v1 {
            include!("gen/ailayer.payment.v1.rs");
        }
    }
    /// Model serving on text.
    pub mod serving {
        /// Version 1.
        pub mod v1 {
            include!("gen/ailayer.serving.v1.rs");
        }
    }
}

/// The Open Inference Protocol, version 2.
pub mod inference {
    include!("gen/inference.rs");
}
