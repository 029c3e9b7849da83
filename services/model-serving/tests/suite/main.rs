//! Drives the service over gRPC, with ONNX Runtime: tiny graphs from `tests/data`, and the real all-MiniLM-L6-v2.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail by panicking"
)]

mod bad_input;
mod embedding;
mod faults;
mod loading;
mod memory_budget;
mod minilm;
mod pooling;
mod repository;
mod request_bytes;
mod row_trial;
mod scheduling;
mod settings;
mod shutdown;
mod streams;
mod support;
mod tensors;
mod trial;
mod tritonclient;
