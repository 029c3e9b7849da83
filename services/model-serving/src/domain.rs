//! The rules of serving, free of sockets, clocks and vendor code.

pub mod batch;
pub mod call;
pub mod control;
pub mod datatype;
pub mod embedding;
pub mod finite;
pub mod input_error;
pub mod manifest;
pub mod model;
pub mod pooling;
pub mod queue;
pub mod scheduler;
pub mod settings;
pub mod shape;
pub mod signature;
pub mod statistics;
pub mod tensor;
pub mod text;
